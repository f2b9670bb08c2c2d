package command

// Geo declares the geospatial commands, which keep positions in sorted sets.
func Geo() []*Spec {
	return []*Spec{
		{
			Name: "geoadd", Arity: -5, Flags: DenyOOM, Keys: One(1, "RW UPDATE"),
			Group: "geo", Since: "3.2.0", Complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
			Summary: "Add one or more geospatial items in the geospatial index represented using a sorted set",
			Syntax:  "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
			Write:   geoadd,
		},
		{
			Name: "geodist", Arity: -4, Keys: One(1, "RO ACCESS"),
			Group: "geo", Since: "3.2.0", Complexity: "O(log(N))",
			Summary: "Returns the distance between two members of a geospatial index",
			Syntax:  "key member1 member2 [M | KM | FT | MI]",
			Read:    geodist,
		},
		{
			Name: "geohash", Arity: -2, Keys: One(1, "RO ACCESS"),
			Group: "geo", Since: "3.2.0", Complexity: "O(log(N)) for each member requested, where N is the number of elements in the sorted set.",
			Summary: "Returns members of a geospatial index as standard geohash strings",
			Syntax:  "key member [member ...]",
			Read:    geohashes,
		},
		{
			Name: "geopos", Arity: -2, Keys: One(1, "RO ACCESS"),
			Group: "geo", Since: "3.2.0", Complexity: "O(N) where N is the number of members requested.",
			Summary: "Returns longitude and latitude of members of a geospatial index",
			Syntax:  "key member [member ...]",
			Read:    geopos,
		},
		{
			Name: "geosearch", Arity: -7, Keys: One(1, "RO ACCESS"),
			Group: "geo", Since: "6.2.0", Complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
			Summary: "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle.",
			Syntax:  "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
			Read:    geosearch,
		},
		{
			Name: "geosearchstore", CountLookups: true, Arity: -8, Flags: DenyOOM, Keys: []KeySpec{
				{Flags: "OW UPDATE", Index: 1, Step: 1},
				{Flags: "RO ACCESS", Index: 2, Step: 1},
			},
			Group: "geo", Since: "6.2.0", Complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
			Summary: "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle, and store the result in another key.",
			Syntax:  "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
			Write:   geosearchstore,
		},
		{
			Name: "georadius", CountLookups: true, Arity: -6, Flags: DenyOOM | MovableKeys, Keys: []KeySpec{
				{Flags: "RO ACCESS", Index: 1, Step: 1},
				{Flags: "OW UPDATE", Keyword: "STORE", Index: 6, Step: 1},
				{Flags: "OW UPDATE", Keyword: "STOREDIST", Index: 6, Step: 1},
			},
			Group: "geo", Since: "3.2.0", Complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
			Summary:         "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a point",
			DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
			Syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key] [STOREDIST key]",
			Write:  georadius,
		},
		{
			Name: "georadius_ro", Arity: -6, Keys: One(1, "RO ACCESS"),
			Group: "geo", Since: "3.2.10", Complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
			Summary:         "A read-only variant for GEORADIUS",
			DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` argument",
			Syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
			Read:   georadiusRO,
		},
		{
			Name: "georadiusbymember", CountLookups: true, Arity: -5, Flags: DenyOOM | MovableKeys, Keys: []KeySpec{
				{Flags: "RO ACCESS", Index: 1, Step: 1},
				{Flags: "OW UPDATE", Keyword: "STORE", Index: 5, Step: 1},
				{Flags: "OW UPDATE", Keyword: "STOREDIST", Index: 5, Step: 1},
			},
			Group: "geo", Since: "3.2.0", Complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
			Summary:         "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a member",
			DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
			Syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key] [STOREDIST key]",
			Write:  georadiusbymember,
		},
		{
			Name: "georadiusbymember_ro", Arity: -5, Keys: One(1, "RO ACCESS"),
			Group: "geo", Since: "3.2.10", Complexity: "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index.",
			Summary:         "A read-only variant for GEORADIUSBYMEMBER",
			DeprecatedSince: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
			Syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
			Read:   georadiusbymemberRO,
		},
	}
}
