/** The frame `buffer[start, end)`, its length in the four bytes before `start`. */
export interface FrameBytes {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * The way to the switch's other hosts. Frames given to it are untagged; the VLAN (of a private VLAN the secondary) goes beside them. `send`
 * and `flood` return to how many peers the frame was addressed (the tunnel counts its own drops). The object is only valid during the call.
 */
export interface TunnelSink {
  send(peer: string, vlan: number, frame: FrameBytes): number;
  flood(vlan: number, frame: FrameBytes): number;
  /** The peers that `flood` would address. */
  peers(): readonly string[];
}

/** For a switch of this host alone. */
export const NO_TUNNEL: TunnelSink = { send: () => 0, flood: () => 0, peers: () => [] };
