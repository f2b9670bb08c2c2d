package commit

import (
	"context"
	"errors"
	"testing"
)

func TestChanges(t *testing.T) {
	confChangeC := make(chan *ConfChange)
	change := func(ctx context.Context) error {
		return Changes(confChangeC).ChangeMembership(ctx, Remove, Member{ID: 4})
	}
	answer := func(err error) {
		ch := <-confChangeC
		if ch.Op != Remove || ch.Member.ID != 4 {
			t.Errorf("%v of %d", ch.Op, ch.Member.ID)
		}
		ch.ResultC <- err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go answer(nil)
	if err := change(ctx); err != nil {
		t.Error(err)
	}
	refused := errors.New("it would lose quorum")
	go answer(refused)
	if err := change(ctx); !errors.Is(err, refused) {
		t.Error(err)
	}
	go func() { <-confChangeC; cancel() }()
	if err := change(ctx); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if err := change(ctx); !errors.Is(err, ErrNotTaken) || !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknown) {
		t.Errorf("never sent: %v", err)
	}
}
