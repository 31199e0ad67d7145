package puller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/store"
)

func TestAPullTellsItsRateOfLateAndTheTimeThatIsLeft(t *testing.T) {
	var m meter
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(after time.Duration, bytes int64, phase string) store.Progress {
		return m.progress(dockercli.PullProgress{Phase: phase, Current: bytes, Total: 100_000, Each: []dockercli.LayerProgress{
			{ID: "0123456789ab", State: "downloading", Current: bytes, Total: 100_000},
		}}, began.Add(after))
	}
	layers := func(bytes int64) []store.Layer {
		return []store.Layer{{ID: "0123456789ab", State: "downloading", Current: bytes, Total: 100_000}}
	}
	left := func(seconds int64) *int64 { return &seconds }
	for i, c := range []struct {
		got, want store.Progress
	}{
		{at(0, 0, "downloading"), store.Progress{Layers: layers(0)}},
		{at(50*time.Millisecond, 900, "downloading"), store.Progress{Current: 900, Layers: layers(900)}},
		{at(time.Second, 10_000, "downloading"), store.Progress{Current: 10_000, Rate: 10_000, SecondsLeft: left(9), Layers: layers(10_000)}},
		{at(5*time.Second, 20_000, "downloading"), store.Progress{Current: 20_000, Rate: 4_000, SecondsLeft: left(20), Layers: layers(20_000)}},
		{at(6*time.Second, 30_000, "downloading"), store.Progress{Current: 30_000, Rate: 4_000, SecondsLeft: left(18), Layers: layers(30_000)}},
		{at(60*time.Second, 30_000, "downloading"), store.Progress{Current: 30_000, Layers: layers(30_000)}},
		{at(61*time.Second, 100_000, "extracting"), store.Progress{Current: 100_000, Text: "extracting", Layers: layers(100_000)}},
	} {
		c.want.Total, c.want.Unit = 100_000, "bytes"
		if c.want.Text == "" {
			c.want.Text = "downloading"
		}
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
	for i := range 1000 {
		at(62*time.Second+time.Duration(i)*100*time.Millisecond, int64(i), "downloading")
	}
	if len(m.marks) > 60 {
		t.Errorf("%d marks", len(m.marks))
	}
}
