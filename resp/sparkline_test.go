package resp

import "testing"

// The graphs are what a redis-server 7.0.15 drew of the same samples.
func TestSparkline(t *testing.T) {
	for _, x := range []struct {
		samples []sparkSample
		want    string
	}{
		{[]sparkSample{{100, "4s"}, {400, "3s"}, {250, "1s"}, {110, "0s"}}, " #  \n |_ \n || \n_||_\n    \n4310\nssss\n"},
		{[]sparkSample{{203, "0s"}}, " \n \n \n_\n \n0\ns\n"},
		{[]sparkSample{{1, "12m"}, {2, "3d"}}, " #\n |\n |\n_|\n  \n13\n2d\nm \n"},
	} {
		if got := sparkline(x.samples); got != x.want {
			t.Errorf("%v:\n%s\nwant\n%s", x.samples, got, x.want)
		}
	}
	for seconds, want := range map[int64]string{0: "0s", 59: "59s", 60: "1m", 3600: "1h", 86400: "1d"} {
		if got := ago(seconds); got != want {
			t.Errorf("%d seconds ago is %s, want %s", seconds, got, want)
		}
	}
}
