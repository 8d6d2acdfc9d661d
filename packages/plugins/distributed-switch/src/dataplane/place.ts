/** What a place is: a port of this host, another host, or the physical network beyond the uplinks. */
export type PlaceKind = "port" | "peer" | "uplinks";

/** Where addresses can be, as far as forwarding cares. A place belongs to one switch. */
export class Place {
  readonly kind: PlaceKind;
  readonly key: string;
  /** The `MacTable`'s number for it; -1 while it has none. Only the table changes it. */
  placeId = -1;
  /** How many addresses the table has here, those that have aged and were not noticed yet included. Only the table changes it. */
  stations = 0;

  constructor(kind: PlaceKind, key: string) {
    this.kind = kind;
    this.key = key;
  }
}
