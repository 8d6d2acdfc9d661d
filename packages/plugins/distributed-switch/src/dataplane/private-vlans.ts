/** One secondary VLAN of a private VLAN (RFC 5517). */
export interface PrivateVlan {
  readonly primary: number;
  readonly secondary: number;
}

/**
 * Which VLANs are secondaries of which primary. Known from the switch's configuration, and from its ports: a host must know the pairs of
 * hosts whose ports it doesn't have, since frames travel in their secondary VLAN and a promiscuous port takes those of all of them.
 */
export class PrivateVlans {
  readonly #primaryOf = new Uint16Array(4096).map((_, vlan) => vlan);
  readonly #uses = new Map<number, { primary: number; count: number }>();

  /** The VLAN whose stations are known together: a secondary's primary, and any other VLAN itself. */
  primaryOf(vlan: number): number {
    return this.#primaryOf[vlan] ?? vlan;
  }

  /**
   * Adds a use of a pair. A VLAN that is a secondary of another primary already stays that: a configuration is checked before it comes
   * here. True when this changed the answer for some VLAN.
   */
  add({ primary, secondary }: PrivateVlan): boolean {
    if (primary === secondary) return false;
    const use = this.#uses.get(secondary);
    if (use !== undefined) {
      if (use.primary === primary) use.count += 1;
      return false;
    }
    this.#uses.set(secondary, { primary, count: 1 });
    this.#primaryOf[secondary] = primary;
    return true;
  }

  /** Takes a use back. True when this changed the answer for some VLAN. */
  remove({ primary, secondary }: PrivateVlan): boolean {
    const use = this.#uses.get(secondary);
    if (use === undefined || use.primary !== primary) return false;
    use.count -= 1;
    if (use.count > 0) return false;
    this.#uses.delete(secondary);
    this.#primaryOf[secondary] = secondary;
    return true;
  }
}
