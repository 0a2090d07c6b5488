package sample

import (
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	for n, want := range map[int]string{-1: "negative", 0: "small", 4: "other"} {
		if got := Name(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	if got := Wait(2, false); got != 2*time.Second {
		t.Errorf("wait %s", got)
	}
	if got := Wait(0, true); got != time.Minute {
		t.Errorf("wait %s", got)
	}
	if Kind(1) != "basic" || Kind(nil) != "" {
		t.Error("wrong kind")
	}
	if Size("one") != 1 || Size("three") != 4 {
		t.Error("wrong size")
	}
}
