/** The VM's end of a connected port. */
export interface SimulatedNic {
  /** Whether the port is connected, and to this owner. */
  readonly linked: boolean;
  /** Sends a frame into the switch. A frame of an owner that is not the newest any more goes nowhere. */
  send(frame: Uint8Array): void;
  /** Told of each frame that the switch delivers. A NIC has one listener; without one, frames wait, at most 256 of them. */
  listen(onFrame: (frame: Uint8Array) => void): void;
  /** Takes the frames that wait. */
  take(): readonly Uint8Array[];
  close(): void;
}
