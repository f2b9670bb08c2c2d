package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/raftredis/raftredis/raftnode"
)

// peers reads --cluster: URLs by position, as raftexample has them, or id=url.
// Left out, it is this node alone, or whoever the data directory names.
func (o *options) peers() ([]raftnode.Peer, error) {
	id := uint64(o.id.value)
	if o.cluster.value == "" && o.restart {
		return nil, nil // they are in the data directory
	}
	if bool(o.join) && !o.restart && !strings.ContainsAny(o.cluster.value, ", ") {
		return nil, fmt.Errorf("--join needs a running member to ask: --cluster 1=http://host:port,%d=%s", id, o.defaultPeerURL())
	}
	if o.cluster.value == "" {
		return []raftnode.Peer{{ID: id, URL: o.defaultPeerURL()}}, nil
	}
	var peers []raftnode.Peer
	named, ids := 0, []string{}
	for i, item := range strings.FieldsFunc(o.cluster.value, func(r rune) bool { return r == ',' || r == ' ' }) {
		p := raftnode.Peer{ID: uint64(i + 1), URL: item}
		if before, after, ok := strings.Cut(item, "="); ok && !strings.Contains(before, ":") {
			n, err := strconv.ParseUint(before, 10, 63)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("--cluster: %q: %q is no id: a number from 1 on", item, before)
			}
			p = raftnode.Peer{ID: n, URL: after}
			named++
		}
		p.URL = raftnode.NormalizePeerURL(p.URL)
		if err := checkPeerURL(p.URL, o.scheme()); err != nil {
			return nil, fmt.Errorf("--cluster: %w", err)
		}
		for _, other := range peers {
			if other.ID == p.ID {
				return nil, fmt.Errorf("--cluster names id %d twice", p.ID)
			}
			if other.URL == p.URL {
				return nil, fmt.Errorf("--cluster names %s twice", p.URL)
			}
		}
		peers = append(peers, p)
		ids = append(ids, strconv.FormatUint(p.ID, 10))
	}
	if named > 0 && named < len(peers) {
		return nil, fmt.Errorf("--cluster: either every member is written as id=url, or none")
	}
	if o.restart {
		return peers, nil // only to be compared with what the data directory has
	}
	if !slices.ContainsFunc(peers, func(p raftnode.Peer) bool { return p.ID == id }) {
		return nil, fmt.Errorf("--id %d is not in --cluster, which has the ids %s (name them: %d=http://host:port)", id, strings.Join(ids, " "), id)
	}
	return peers, nil
}

// checkPeerURL finds what rafthttp would not take, and says it in the user's
// words.
func checkPeerURL(s, scheme string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme == "":
		return fmt.Errorf("%q is no URL such as %s://10.0.0.1:16379", s, scheme)
	case u.Scheme != scheme && scheme == "https":
		return fmt.Errorf("%q must begin with https:// because of --tls-cluster or --peer-secret", s)
	case u.Scheme == "https" && scheme == "http":
		return fmt.Errorf("%q needs --tls-cluster yes, or --peer-secret", s)
	case u.Scheme != scheme:
		return fmt.Errorf("%q must begin with http://", s)
	case u.Port() == "" || u.Hostname() == "":
		return fmt.Errorf("%q needs a host and a port", s)
	case u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q must be no more than %s://host:port", s, scheme)
	}
	return nil
}

// scheme is that of the members' URLs: https if they know each other, by certificates or by a
// secret.
func (o *options) scheme() string {
	if bool(o.tlsCluster) || o.peerSecret.value != "" {
		return "https"
	}
	return "http"
}

// defaultPeerURL is where the other members reach a node that --cluster does
// not mention.
func (o *options) defaultPeerURL() string {
	port := o.clusterPort.value
	if port == 0 {
		// As Redis Cluster does. Beyond the last port, below instead of above.
		if port = int64(o.front.Port) + 10000; port > 65535 {
			port = int64(o.front.Port) - 10000
		}
	}
	return o.scheme() + "://" + net.JoinHostPort(o.host(), strconv.FormatInt(port, 10))
}

// host is the name under which others reach this node.
func (o *options) host() string {
	if o.announceIP.value != "" {
		return o.announceIP.value
	}
	return o.bound()
}

// bound is the first address that the front is bound to, if it is one.
func (o *options) bound() string {
	for _, b := range o.front.Bind {
		b = strings.TrimPrefix(b, "-") // redis.conf: "-" before an address that may be missing
		if ip := net.ParseIP(b); b != "" && b != "*" && (ip == nil || !ip.IsUnspecified()) {
			return b
		}
	}
	return "127.0.0.1"
}

// clientAddr is where clients reach this node, as the other members will know it. If
// there is no port for clients without TLS, it is the one for those with.
func (o *options) clientAddr() string {
	port := int64(o.front.Port)
	if port == 0 {
		port = o.clientTLSPort()
	}
	if o.announcePort.value != 0 {
		port = o.announcePort.value
	}
	return net.JoinHostPort(o.host(), strconv.FormatInt(port, 10))
}

// clientTLSPort is where clients reach it that speak TLS, 0 if they do not.
func (o *options) clientTLSPort() int64 {
	if o.announceTLS.value != 0 {
		return o.announceTLS.value
	}
	return int64(o.front.TLSPort)
}
