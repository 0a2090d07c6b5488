package sim

import (
	"bytes"
	"reflect"
)

// shelf keeps a server's snapshot over its restarts.
type shelf struct{ data []byte }

// Load is what was stored last.
func (s *shelf) Load() ([]byte, error) { return s.data, nil }

// Store keeps data.
func (s *shelf) Store(data []byte) error {
	s.data = data
	return nil
}

// picture lets a server store a snapshot after a tick, and looks whether what a start would make of the view is the view.
func (p *plant) picture(s *server) {
	if err := s.engine.Snapshot(); err != nil {
		p.breaks("law 19: a snapshot is the fold", "server %s has no snapshot: %v", s.name, err)
		return
	}
	was := s.view()
	var data bytes.Buffer
	if err := was.Save(&data); err != nil {
		p.breaks("law 19: a snapshot is the fold", "the view of server %s cannot be saved: %v", s.name, err)
		return
	}
	loaded, err := p.rulesOf(s).Load(data.Bytes())
	if err != nil {
		p.breaks("law 19: a snapshot is the fold", "the view of server %s cannot be loaded: %v", s.name, err)
		return
	}
	loaded.Touched()
	if !reflect.DeepEqual(loaded, was) {
		p.breaks("law 19: a snapshot is the fold", "the view of server %s at #%s is another one once it was saved and loaded:\n%s", s.name, was.Position, difference(dump(was), dump(loaded)))
	}
}
