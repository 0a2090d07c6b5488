package agent

import (
	"errors"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

const (
	// minBlocked is how long the agent claims nothing after a write to its data folder has failed.
	minBlocked = 5 * time.Second
	// orphansRetryDelay is how long the agent waits before it tries again to remove files of ended parts.
	orphansRetryDelay = time.Minute
)

// conditions is what keeps the agent from working, or what it could not clean up.
type conditions struct {
	blocking domain.Condition // zero: the journal can be written
	left     domain.Condition // zero: nothing was left
	// stated means that this session has checked the journal and stated the result, so that changes are reported.
	stated bool
	// blockedUntil is when blocking may end, on the monotonic clock.
	blockedUntil time.Duration
	// retryOrphans is when the agent tries again to remove what was left, on the monotonic clock.
	retryOrphans time.Duration
}

// list returns the conditions that apply.
func (c conditions) list() []domain.Condition {
	list := []domain.Condition{}
	for _, one := range []domain.Condition{c.blocking, c.left} {
		if one.Kind != "" {
			list = append(list, one)
		}
	}
	return list
}

// checkJournal reports whether the journal can be written. It makes a data folder again that was deleted. If the journal
// cannot be written, the agent reports that, and claims nothing until a later check succeeds.
func (s *session) checkJournal() bool {
	made, err := s.journal.Check()
	if made {
		s.log.Warn("the data folder, or a folder in it, was deleted; it was made again, without secrets.env",
			zap.String("folder", s.config.Data), zap.Error(err))
	}
	if err == nil && s.conditions.blocking.Kind != "" && s.config.Clock.Elapsed() < s.conditions.blockedUntil {
		return false // a larger write may have failed a moment ago
	}
	s.setBlocking(s.conditionOf(err))
	return err == nil
}

// conditionOf returns the condition for an error of a write to the data folder. Its detail does not depend on the file,
// so that equal problems are reported once.
func (s *session) conditionOf(err error) domain.Condition {
	missing := (*journal.Missing)(nil)
	switch {
	case err == nil:
		return domain.Condition{}
	case errors.As(err, &missing):
		return domain.Condition{Kind: domain.DataFolderMissing, Detail: missing.Error()}
	case journal.IsFull(err):
		return domain.Condition{Kind: domain.DiskFull, Detail: s.folder() + ": " + journal.Cause(err).Error()}
	}
	return domain.Condition{Kind: domain.JournalNotWritable, Detail: s.folder() + ": " + journal.Cause(err).Error()}
}

// folder returns the absolute path of the data folder, if it is known.
func (s *session) folder() string {
	if folder, err := filepath.Abs(s.config.Data); err == nil {
		return folder
	}
	return s.config.Data
}

func (s *session) setBlocking(c domain.Condition) {
	if c.Kind != "" {
		s.conditions.blockedUntil = s.config.Clock.Elapsed() + minBlocked
	}
	if c == s.conditions.blocking {
		return
	}
	s.conditions.blocking = c
	if c.Kind != "" {
		s.log.Error("could not write to the data folder; no part is claimed until that works again",
			zap.String("condition", string(c.Kind)), zap.String("detail", c.Detail))
	} else {
		s.log.Info("the data folder can be written again")
	}
	s.reportConditions()
}

// setLeft records whether files of ended parts remain.
func (s *session) setLeft(err error) {
	c := domain.Condition{}
	if err != nil {
		c = domain.Condition{Kind: domain.Leftovers, Detail: err.Error()}
		s.conditions.retryOrphans = s.config.Clock.Elapsed() + orphansRetryDelay
	}
	if c == s.conditions.left {
		return
	}
	s.conditions.left = c
	if err != nil {
		s.log.Warn("files of ended parts remain; the agent tries to remove them again", zap.Error(err))
	} else {
		s.log.Info("all files of ended parts have been removed")
	}
	s.reportConditions()
}

// retryConditions checks whether the conditions still apply. It also notices that the data folder was deleted.
func (s *session) retryConditions() {
	if s.conditions.blocking.Kind != "" || !s.journal.Present() {
		s.checkJournal()
	}
	if s.conditions.left.Kind != "" && s.config.Clock.Elapsed() >= s.conditions.retryOrphans {
		s.setLeft(s.journal.RemoveOrphans())
	}
}

// stateConditions states all conditions after a welcome, even an empty list: until then, servers go by what an earlier
// run of the agent stated. The first statement comes after a check, because an empty one lets servers deploy again.
func (s *session) stateConditions() {
	if !s.conditions.stated {
		s.checkJournal()
		s.conditions.stated = true
	}
	s.reportConditions()
}

// reportConditions sends the conditions, once this session has stated them.
func (s *session) reportConditions() {
	if s.link == nil || !s.conditions.stated {
		return
	}
	s.send(client.FromAgent{Conditions: &client.Conditions{Conditions: s.conditions.list()}})
}
