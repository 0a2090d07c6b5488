package cli

import "github.com/droverhq/drover/domain"

// amountFlag is the value of a flag for a number or a percentage of machines.
type amountFlag struct {
	given *domain.Amount // nil without the flag
}

// Set parses text.
func (f *amountFlag) Set(text string) error {
	a, err := domain.ParseAmount(text)
	f.given = &a
	return err
}

// String returns the text of the value; empty without the flag.
func (f *amountFlag) String() string {
	if f.given == nil {
		return ""
	}
	return f.given.String()
}

// Type describes the value.
func (*amountFlag) Type() string { return "NUMBER" }

// wavesFlag is the value of a flag for the sizes of waves.
type wavesFlag domain.Waves

// Set parses text.
func (f *wavesFlag) Set(text string) error {
	waves, err := domain.ParseWaves(text)
	*f = wavesFlag(waves)
	return err
}

// String returns the text of the value; empty without the flag.
func (f *wavesFlag) String() string { return domain.Waves(*f).String() }

// Type describes the value.
func (*wavesFlag) Type() string { return "SIZES" }
