/** What a filter rule looks for. All that is given must hold; nothing given matches every frame. */
export interface FilterMatch {
  readonly sourceMac?: string | undefined;
  readonly destinationMac?: string | undefined;
  /** Of what the frame carries, behind its tag. */
  readonly etherType?: number | undefined;
  /** The VLAN in which the frame travels, tagged or not. */
  readonly vlan?: number | undefined;
  /** An IPv4 or IPv6 prefix in CIDR notation. Only IP packets match. */
  readonly sourcePrefix?: string | undefined;
  readonly destinationPrefix?: string | undefined;
  /** The IP protocol number, behind IPv6's extension headers. */
  readonly protocol?: number | undefined;
  /** TCP, UDP and SCTP ports, both ends included. A fragment without its ports does not match. */
  readonly sourcePorts?: { readonly from: number; readonly to: number } | undefined;
  readonly destinationPorts?: { readonly from: number; readonly to: number } | undefined;
}

/** What a filter rule does. `accept` and `drop` decide; the others do their work, and the next rule is looked at. */
export type FilterAction =
  | { readonly kind: "accept"; readonly related?: false | undefined }
  | { readonly kind: "drop" }
  /** Sets the 802.1p priority of the tag that the frame has or gets, and the DSCP of an IP packet. */
  | { readonly kind: "tag"; readonly priority?: number | undefined; readonly dscp?: number | undefined }
  /** Drops what is over the rate. Each direction of each port has a rate of its own. */
  | { readonly kind: "rateLimit"; readonly packetsPerSecond: number }
  /** Copies the frame to a mirror session of the switch. */
  | { readonly kind: "mirror"; readonly session: string }
  | { readonly kind: "log" };

/** A filter rule. Rules are looked at in order; a frame that none decides is accepted. Stateless: answers need rules of their own. */
export interface FilterRule {
  readonly name: string;
  /** `in` is what the VM sends. */
  readonly direction: "in" | "out" | "both";
  readonly match: FilterMatch;
  readonly action: FilterAction;
}
