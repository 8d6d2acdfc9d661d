/** How many frames a port holds back, and how many wait for a NIC that nobody reads. */
export const maxWaitingFrames = 256;

/** Where a VM's NIC is put in: one for each binding of a port, so that a move has one at either host. */
export class PortPlug {
  /** Frames for the VM that nobody has taken. */
  waiting: Uint8Array[] = [];
  listener: ((frame: Uint8Array) => void) | undefined;
  /** Whether a VM has its NIC in it. */
  plugged = false;
}
