package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"time"
)

// writers are 10 connections that SET.
func writers(port, _ int) (end func() error, err error) {
	set := exec.Command("redis-benchmark", "-p", strconv.Itoa(port), "-c", "10", "-n", "100000000", "-r", "100000", "-d", "64", "-t", "set", "-q")
	if err := set.Start(); err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Millisecond) // let them get going
	return func() error {
		set.Process.Kill()
		set.Wait()
		return nil
	}, nil
}

const (
	channel         = "bench"
	subscriberCount = 50
)

// subscribers are 50 connections that have subscribed to channel. What is measured is how
// fast PUBLISH is answered; that each of them got all n messages is checked behind that.
func subscribers(port, n int) (end func() error, err error) {
	message := fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(value), value)
	ready := fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(channel), channel)
	var conns []net.Conn
	hangUp := func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for range subscriberCount {
		c, err := net.Dial("tcp", addr(port))
		if err != nil {
			hangUp()
			return nil, err
		}
		conns = append(conns, c)
		got := make([]byte, len(ready))
		if _, err = fmt.Fprintf(c, "SUBSCRIBE %s\r\n", channel); err == nil {
			_, err = io.ReadFull(c, got)
		}
		if err == nil && string(got) != ready {
			err = fmt.Errorf("SUBSCRIBE answered %q", got)
		}
		if err != nil {
			hangUp()
			return nil, err
		}
	}
	heard := make(chan error, len(conns))
	for _, c := range conns {
		go func() {
			got, err := io.CopyN(io.Discard, c, int64(n*len(message)))
			if err != nil {
				err = fmt.Errorf("a subscriber got %d of %d messages: %w", got/int64(len(message)), n, err)
			}
			heard <- err
		}()
	}
	return func() error {
		defer hangUp()
		var errs []error
		for _, c := range conns {
			errs = append(errs, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		}
		for range conns {
			errs = append(errs, <-heard)
		}
		return errors.Join(errs...)
	}, nil
}
