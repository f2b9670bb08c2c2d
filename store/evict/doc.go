// Package evict chooses what goes when there is no room. The leader alone asks it, by its
// own knowledge of who reads what: what it chooses is proposed, and counts once it is
// applied.
package evict
