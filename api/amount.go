package api

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/domain"
)

// amount is a number or a percentage of machines in the body of a request.
type amount struct{ domain.Amount }

// Schema describes both forms.
func (*amount) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		OneOf:       []*huma.Schema{{Type: huma.TypeInteger}, {Type: huma.TypeString, Pattern: `^-?[0-9]+%$`}},
		Description: "A number of machines, or a percentage such as 25%.",
	}
}

// value returns the amount of the domain, or nil.
func (a *amount) value() *domain.Amount {
	if a == nil {
		return nil
	}
	return &a.Amount
}
