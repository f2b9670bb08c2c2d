package raftnode

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// ErrBadURL refuses a peer URL that cannot be one, or not in this cluster.
var ErrBadURL = errors.New("bad peer URL")

// NormalizePeerURL removes what makes no difference: a slash at the end.
func NormalizePeerURL(s string) string { return strings.TrimRight(s, "/") }

// dialURL is what to connect to for a member: with certificates or a secret always over TLS,
// although the URL in the membership may be from a time without.
func (c *Config) dialURL(peerURL string) string {
	if rest, plain := strings.CutPrefix(peerURL, "http://"); plain && (c.PeerTLS != (TLS{}) || c.PeerSecret != "") {
		return "https://" + rest
	}
	return peerURL
}

// exposed reports whether other machines reach a URL.
func exposed(peerURL string) bool {
	u, err := url.Parse(peerURL)
	if err != nil {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.Unmap().IsLoopback())
}

// validatePeerURL accepts exactly what rafthttp accepts: rafthttp panics on
// anything else, and an address reaches it through the log.
func validatePeerURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBadURL, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: %q does not start with http:// or https://", ErrBadURL, s)
	case u.Port() == "" || u.Hostname() == "":
		return fmt.Errorf("%w: %q lacks a host or a port", ErrBadURL, s)
	case u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%w: %q has more than scheme, host and port", ErrBadURL, s)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%w: %q has spaces around it", ErrBadURL, s)
	}
	return nil
}

// reachablePeerURL refuses what other machines cannot dial.
func reachablePeerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadURL, err)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.IsUnspecified() {
		return fmt.Errorf("%w: %s is no address that others can reach", ErrBadURL, s)
	}
	return nil
}

// peerPlace is where a peer URL leads, however it is written: two of the same place
// are one member. Names are not looked up: the answer would depend on the machine.
func peerPlace(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		host = ip.String()
		if ip == netip.IPv6Loopback() || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
			host = "localhost"
		}
	}
	return net.JoinHostPort(host, strings.TrimLeft(u.Port(), "0"))
}

// checkPeerURL says whether a member may be at u: nobody else is, by whatever name,
// and the members speak one scheme.
func (ms *membership) checkPeerURL(id uint64, u string) error {
	if err := validatePeerURL(u); err != nil {
		return err
	}
	if err := reachablePeerURL(u); err != nil {
		return err
	}
	scheme, _, _ := strings.Cut(u, "://")
	for _, other := range ms.list() {
		if other.ID == id {
			continue
		}
		if peerPlace(other.PeerURL) == peerPlace(u) {
			if other.PeerURL != u {
				return fmt.Errorf("%w: %s is the same place as %s, which is member %d", ErrIDUsed, u, other.PeerURL, other.ID)
			}
			return fmt.Errorf("%w: %s is member %d", ErrIDUsed, u, other.ID)
		}
		if has, _, _ := strings.Cut(other.PeerURL, "://"); has != scheme {
			return fmt.Errorf("%w: %s must begin with %s://, as the URLs of the other members do (%s)", ErrBadURL, u, has, other.PeerURL)
		}
	}
	return nil
}
