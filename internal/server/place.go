package server

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/doctor"
)

// PlaceOf says where the log at a URL lies, and how much room there is.
func PlaceOf(address, data string) doctor.Place {
	address = addressOf(address, data)
	place := doctor.Place{}
	place.Kind, _, _ = strings.Cut(address, ":")
	path, ok := LogFile(address)
	if !ok {
		return place
	}
	place.Folder = filepath.Dir(path)
	if absolute, err := filepath.Abs(place.Folder); err == nil {
		place.Folder = absolute // whoever reads it is elsewhere
	}
	for _, part := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + part); err == nil {
			place.Bytes += uint64(max(0, info.Size()))
		}
	}
	place.Free, place.Total = Free(place.Folder)
	return place
}
