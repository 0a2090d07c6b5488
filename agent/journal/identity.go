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

var secretForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// loadIdentity reads the identity, or creates and stores one.
func loadIdentity(data string) (Identity, error) {
	path := filepath.Join(data, "identity.json")
	var stored struct {
		Format int `json:"format"`
		Identity
	}
	err := readJSON(path, "restore it, or remove it to join as a new instance", &stored)
	if errors.Is(err, fs.ErrNotExist) {
		stored.Format, stored.Identity = format, newIdentity()
		return stored.Identity, writeJSON(path, stored)
	}
	if err != nil {
		return Identity{}, err
	}
	return stored.Identity, checkIdentity(path, stored.Identity)
}

// newIdentity returns a unique identity.
func newIdentity() Identity {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return Identity{Instance: uuid.NewString(), Secret: hex.EncodeToString(secret[:])}
}

func checkIdentity(path string, identity Identity) error {
	if _, err := uuid.Parse(identity.Instance); err != nil || !secretForm.MatchString(identity.Secret) {
		return fmt.Errorf("%s does not contain a valid instance and secret; "+
			"restore it, or remove it to join as a new instance",
			path)
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
