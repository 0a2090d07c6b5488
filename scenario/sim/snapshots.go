package sim

import (
	"bytes"
	"reflect"
)

// snapshotStore retains a server's snapshot over its restarts.
type snapshotStore struct{ data []byte }

// Load returns the last stored snapshot.
func (s *snapshotStore) Load() ([]byte, error) { return s.data, nil }

// Store stores a snapshot.
func (s *snapshotStore) Store(data []byte) error {
	s.data = data
	return nil
}

// checkSnapshot makes a server store a snapshot after a tick, and checks that loading its saved view gives an equal
// view.
func (p *cluster) checkSnapshot(s *server) {
	if err := s.engine.Snapshot(); err != nil {
		p.violate("law 19: a snapshot equals the fold", "server %s has no snapshot: %v", s.name, err)
		return
	}
	was := s.view()
	var data bytes.Buffer
	if err := was.Save(&data); err != nil {
		p.violate("law 19: a snapshot equals the fold", "could not save the view of server %s: %v", s.name, err)
		return
	}
	loaded, err := p.rulesOf(s).Load(data.Bytes())
	if err != nil {
		p.violate("law 19: a snapshot equals the fold", "could not load the view of server %s: %v", s.name, err)
		return
	}
	loaded.Touched()
	if !reflect.DeepEqual(loaded, was) {
		p.violate("law 19: a snapshot equals the fold",
			"the view of server %s at #%s differs after it was saved and loaded:\n%s", s.name, was.Position,
			difference(dump(was), dump(loaded)))
	}
}
