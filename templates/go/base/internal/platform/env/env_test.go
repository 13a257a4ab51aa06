package env

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func reader(set map[string]string) *Reader {
	return NewReader(func(name string) (string, bool) {
		value, ok := set[name]
		return value, ok
	})
}

func TestUnsetAndEmptyVariablesFallBack(t *testing.T) {
	r := reader(map[string]string{"EMPTY": ""})
	if got := r.Text("EMPTY", "x"); got != "x" {
		t.Errorf("Text = %q", got)
	}
	if got := r.Port("UNSET", 80); got != 80 {
		t.Errorf("Port = %d", got)
	}
	if got := r.Duration("EMPTY", time.Second, 0, time.Minute); got != time.Second {
		t.Errorf("Duration = %s", got)
	}
	if got := r.Number("EMPTY", 0.5, 0, 1); got != 0.5 {
		t.Errorf("Number = %v", got)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestGoodValuesAreTaken(t *testing.T) {
	r := reader(map[string]string{"PORT": "0", "WAIT": "250ms", "LEVEL": "warn", "RATIO": "0.25", "KEY": "hunter2"})
	if got := r.Port("PORT", 80); got != 0 {
		t.Errorf("Port = %d", got)
	}
	if got := r.Duration("WAIT", 0, 0, time.Second); got != 250*time.Millisecond {
		t.Errorf("Duration = %s", got)
	}
	if got := r.OneOf("LEVEL", "info", "info", "warn"); got != "warn" {
		t.Errorf("OneOf = %q", got)
	}
	if got := r.Number("RATIO", 1, 0, 1); got != 0.25 {
		t.Errorf("Number = %v", got)
	}
	if got := r.Secret("KEY"); string(got) != "hunter2" {
		t.Error("Secret is another one")
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestEveryMistakeIsToldAtOnce(t *testing.T) {
	r := reader(map[string]string{
		"NEGATIVE": "-1", "HIGH": "65536", "WORD": "http", "LONG": "2h", "BARE": "5", "LEVEL": "loud", "RATIO": "NaN",
	})
	r.Port("NEGATIVE", 1)
	r.Port("HIGH", 1)
	r.Port("WORD", 1)
	r.Duration("LONG", time.Second, 0, time.Hour)
	r.Duration("BARE", time.Second, 0, time.Hour)
	r.OneOf("LEVEL", "info", "debug", "info")
	r.Number("RATIO", 1, 0, 1)
	r.Secret("KEY")
	want := strings.Join([]string{
		`NEGATIVE: "-1" must be a port, 0 to 65535`,
		`HIGH: "65536" must be a port, 0 to 65535`,
		`WORD: "http" must be a port, 0 to 65535`,
		`LONG: "2h" must be a duration from 0s to 1h0m0s, such as 1s`,
		`BARE: "5" must be a duration from 0s to 1h0m0s, such as 1s`,
		`LEVEL: "loud" must be one of debug, info`,
		`RATIO: "NaN" must be a number from 0 to 1`,
		`KEY: must be set`,
	}, "\n")
	if err := r.Err(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	secret := reader(map[string]string{"KEY": "hunter2"}).Secret("KEY")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", secret, "in", struct{ Key Secret }{secret})
	shown := fmt.Sprintf("%v %+v %#v %s %q", secret, secret, secret, secret, secret)
	if strings.Contains(shown, "hunter2") {
		t.Errorf("shown by fmt: %s", shown)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("shown by slog: %s", log.String())
	}
}
