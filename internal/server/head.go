package server

import (
	"context"
	"time"

	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/internal/witness"
)

// syncWitnessEvery bounds how many of the newest events the head witness can lack after a power cut.
const syncWitnessEvery = time.Second

// openWitness opens the head witness of the log in the data folder, if there is one.
func (r *run) openWitness(ctx context.Context) error {
	if r.config.Data == "" {
		return nil
	}
	made, err := r.log.ID(ctx)
	if err != nil {
		return err
	}
	file, _ := LogFile(addressOf(r.config.Log, r.config.Data))
	r.witness = witness.Open(witness.Config{Folder: r.config.Data, Made: made, LogFile: file, Logger: r.logger})
	return nil
}

// heads returns the witness for the engine.
func (r *run) heads() engine.Witness {
	if r.witness == nil {
		return nil
	}
	return r.witness
}

func (r *run) syncWitness() {
	if r.witness != nil {
		r.witness.Sync()
	}
}

func (r *run) closeWitness() {
	if r.witness != nil {
		_ = r.witness.Close() // it has logged the error
	}
}
