package keyspace

// What members of 0.1.0 make of an entry has to be the same on all members that run
// beside them. A key's description is the one thing that has changed since: a script can
// ask for it, and write it down.

// firstInfo is Info as scripts get it from 0.1.0.
//
// When a key was used is what this node knows of it, reads of its own clients among it: 0.1.0
// lets scripts see that, so that they may well write different things on different members.
// Here it is wrong in the same way. (What was not used for more than 19 days is told as
// younger, see stampBits.)
func (v *View) firstInfo(r *record, stamp uint32) Info {
	const valueBytes = 80 // that a key was counted with beside its own and its value's bytes
	in := Info{Str: v.d.text(r), Raw: r.has(flagRaw), Freq: newHits}
	if stamp != 0 {
		in.Idle = (v.now/1000 - (v.now-since(stamp, v.now))/1000) * 1000 // it noted seconds
	}
	in.Bytes = valueBytes + len(r.key()) + len(in.Str)
	if r.kind() != String {
		o := v.held(r)
		in.Encoding, in.Bytes = o.Encoding(), in.Bytes+o.Bytes()
		if z, ok := o.(*ZSetObject); ok && z.Small() {
			in.Bytes += z.packed.plainSize() - len(z.packed.buf)
		}
	}
	return in
}
