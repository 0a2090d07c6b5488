package clienttest

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/droverhq/drover/api/client"
)

// Proves returns a handler that proves that it knows token, and calls answer for all other requests.
func Proves(token string, answer http.HandlerFunc) http.HandlerFunc {
	_, secret, _ := strings.Cut(token, ".")
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != client.ProofPath {
			answer(w, r)
			return
		}
		proof := client.ServerProof(client.HashSecret(secret), r.FormValue("nonce"), r.Host)
		_ = json.NewEncoder(w).Encode(client.Proof{Address: r.Host, Proof: proof})
	}
}
