package api_test

import "net/url"

// query is that of a path.
func query(path string) url.Values {
	u, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	return u.Query()
}
