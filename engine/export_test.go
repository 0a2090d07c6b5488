package engine

// WithoutTurns lets commands of one stream conflict with each other, for benchmarks that compare.
func (e *Engine) WithoutTurns() { e.turns.off = true }
