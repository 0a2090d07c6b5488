package api_test

import "net/url"

// queryOf is that of a path.
func queryOf(path string) url.Values {
	u, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	return u.Query()
}
