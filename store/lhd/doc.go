// Package lhd values keys by the hits that they are likely to bring: the policies
// allkeys-lhd and volatile-lhd evict those of the least hit density.
//
// A Model learns from what becomes of keys: at which age (since the last access) and
// after how many accesses they are read again, or evicted. What it learns is a node's
// own and no state: it only says whom the leader proposes to evict.
//
// The idea is that of N. Beckmann, H. Chen and A. Cidon, LHD: Improving Cache Hit Rate
// by Maximizing Hit Density (NSDI 2018); the counts that outlive their keys are those
// of admission policies (TinyLFU).
package lhd
