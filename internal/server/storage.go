package server

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/doctor"
)

// StorageOf returns where the log at a URL is stored, and how much space there is.
func StorageOf(address, data string) doctor.Storage {
	address = addressOf(address, data)
	storage := doctor.Storage{}
	storage.Kind, _, _ = strings.Cut(address, ":")
	path, ok := LogFile(address)
	if !ok {
		return storage
	}
	storage.Folder = filepath.Dir(path)
	if absolute, err := filepath.Abs(storage.Folder); err == nil {
		storage.Folder = absolute // the reader can be on another machine
	}
	for _, part := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + part); err == nil {
			storage.Bytes += uint64(max(0, info.Size()))
		}
	}
	storage.Free, storage.Total = DiskSpace(storage.Folder)
	return storage
}
