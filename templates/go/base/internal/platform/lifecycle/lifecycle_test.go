package lifecycle

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// recorded makes a module that says what is done with it; Start fails with this error.
func recorded(name string, said *[]string, startErr, stopErr error) Module {
	return Module{
		Name:  name,
		Start: func(context.Context) error { *said = append(*said, "start "+name); return startErr },
		Stop:  func(context.Context) error { *said = append(*said, "stop "+name); return stopErr },
	}
}

func TestModulesStopInTheOppositeOrder(t *testing.T) {
	var said []string
	modules := []Module{recorded("a", &said, nil, nil), {Name: "empty"}, recorded("b", &said, nil, nil)}
	if err := errors.Join(Start(t.Context(), modules), Stop(t.Context(), modules)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"start a", "start b", "stop b", "stop a"}; !slices.Equal(said, want) {
		t.Errorf("got %v, want %v", said, want)
	}
}

func TestAFailedStartStopsWhatWasStarted(t *testing.T) {
	var said []string
	broken := errors.New("broken")
	modules := []Module{recorded("a", &said, nil, nil), recorded("b", &said, broken, nil), recorded("c", &said, nil, nil)}
	err := Start(t.Context(), modules)
	if !errors.Is(err, broken) || err.Error() != "start b: broken" {
		t.Errorf("err = %v", err)
	}
	if want := []string{"start a", "start b", "stop a"}; !slices.Equal(said, want) {
		t.Errorf("got %v, want %v", said, want)
	}
}

func TestAFailedStopDoesNotKeepTheOthersFromIt(t *testing.T) {
	var said []string
	modules := []Module{recorded("a", &said, nil, errors.New("one")), recorded("b", &said, nil, errors.New("two"))}
	err := Stop(t.Context(), modules)
	if err == nil || err.Error() != "stop b: two\nstop a: one" {
		t.Errorf("err = %v", err)
	}
}

func TestWhatIsWrongWithAnyModuleIsToldAtOnce(t *testing.T) {
	fail := func(text string) Constructor {
		return func(Deps) (Module, error) { return Module{}, errors.New(text) }
	}
	_, err := Build(Deps{}, fail("one"), func(Deps) (Module, error) { return Module{}, nil }, fail("two"))
	if err == nil || err.Error() != "one\ntwo" {
		t.Errorf("err = %v", err)
	}
}
