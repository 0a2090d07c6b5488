package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/uuid"
)

// Identity distinguishes one instance of a machine's disk from another.
type Identity struct {
	// Instance is a UUID.
	Instance string `json:"instance"`
	// Secret is 64 hex digits; the log contains only its hash.
	Secret string `json:"secret"`
}

// storedIdentity is the content of identity.json.
type storedIdentity struct {
	Format int `json:"format"`
	Identity
	Checksum string `json:"checksum,omitempty"` // see Identity.checksum; earlier versions of drover wrote none
}

var secretForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// identityHint tells an operator what to do about a damaged identity. The agent never replaces it: a new instance loses
// what drover knows about the machine, so a person decides that.
const identityHint = "restore it from a backup, or remove it and start the agent with a join token to join as a new " +
	"instance"

// loadIdentity reads the identity, or creates and stores one. It never changes an existing file, which may be managed
// by other programs.
func loadIdentity(data string) (Identity, error) {
	path := filepath.Join(data, "identity.json")
	var stored storedIdentity
	err := readJSON(path, identityHint, &stored)
	if errors.Is(err, fs.ErrNotExist) {
		identity := newIdentity()
		return identity, writeIdentity(data, identity)
	}
	if err != nil {
		return Identity{}, err
	}
	if stored.Checksum != "" && stored.Checksum != stored.Identity.checksum() {
		return Identity{}, fmt.Errorf("%s is damaged (its content does not match its checksum); %s", path, identityHint)
	}
	return stored.Identity, checkIdentity(path, stored.Identity)
}

// writeIdentity stores an identity.
func writeIdentity(data string, identity Identity) error {
	return writeJSON(filepath.Join(data, "identity.json"), storedIdentity{format, identity, identity.checksum()})
}

// newIdentity returns a unique identity.
func newIdentity() Identity {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return Identity{Instance: uuid.NewString(), Secret: hex.EncodeToString(secret[:])}
}

// checksum covers the values, not the bytes of the file, so that a program may format the file in another way.
func (i Identity) checksum() string { return sumOf([]byte(i.Instance + "\n" + i.Secret)) }

func checkIdentity(path string, identity Identity) error {
	if _, err := uuid.Parse(identity.Instance); err != nil || !secretForm.MatchString(identity.Secret) {
		return fmt.Errorf("%s does not contain a valid instance and secret; %s", path, identityHint)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s contains this machine's secret and is accessible to other users (mode %04o); run: chmod 600 %s",
			path, mode, path)
	}
	return nil
}
