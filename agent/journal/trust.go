package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/droverhq/drover/domain"
)

// Trust is what the agent knows about the servers of its cluster from earlier connections.
type Trust struct {
	// Registered means that the log has a verifier of the agent's secret. From then on, the agent sends the secret
	// only over TLS or a Unix socket, if a restored log has no verifier.
	Registered bool `json:"registered,omitempty"`
	// Key is the pinned server key; empty: none yet.
	Key string `json:"key,omitempty"`
	// Joined is the id of the join token that is no longer needed.
	Joined string `json:"joined,omitempty"`
	// OfflineAfter is that of the machine's policy at the last welcome; 0: unknown. A restarted agent must find a server
	// before this time has passed.
	OfflineAfter domain.Duration `json:"offlineAfter,omitempty"`
}

// trustFile is the content of server.json.
type trustFile struct {
	Format   int    `json:"format"`
	Checksum string `json:"checksum"`
	Trust
}

// trustHint tells an operator what to do about a damaged file. The agent never replaces it, because without it the agent
// would trust more than before.
const trustHint = "remove it if the servers of --server can be trusted"

func (j *Journal) trustPath() string { return filepath.Join(j.data, "server.json") }

// loadTrust reads server.json. Without the file, nothing is known.
func (j *Journal) loadTrust() error {
	content, err := readFile(j.trustPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var stored trustFile
	if err = json.Unmarshal(content, &stored); err == nil {
		err = checkSeal(content, stored.Checksum)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s is damaged (%w); %s", j.trustPath(), err, trustHint)
	case stored.Format != format:
		return fmt.Errorf("%s has format %d, but this version of drover supports only format %d; "+
			"use the version that wrote it, or a newer one", j.trustPath(), stored.Format, format)
	}
	j.trust = stored.Trust
	return nil
}

// Trust returns what the agent knows about its servers.
func (j *Journal) Trust() Trust {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.trust
}

// RecordTrust stores what the agent knows about its servers. It writes nothing if nothing has changed.
func (j *Journal) RecordTrust(trust Trust) error {
	if trust == j.Trust() {
		return nil
	}
	return j.writeTrust(trust)
}

func (j *Journal) writeTrust(trust Trust) error {
	content, err := sealed(trustFile{format, noChecksum, trust})
	if err == nil {
		err = writeFile(j.trustPath(), content)
	}
	if err != nil {
		return fmt.Errorf("write what the agent knows about its servers: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trust = trust
	return nil
}
