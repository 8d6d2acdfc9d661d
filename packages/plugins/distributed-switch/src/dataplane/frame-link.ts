import type { FrameSink } from "./switch-port.ts";

/** Who takes what a link brings. */
export interface FrameLinkHandlers {
  /** Gets each frame as `buffer[start, end)`, its length in the four bytes before `start`. The bytes hold until `onBatchEnd` has returned. */
  readonly onFrame: (buffer: Buffer, start: number, end: number) => void;
  readonly onTooLong: (length: number) => void;
  /** Called after the last frame of a read. */
  readonly onBatchEnd: () => void;
  /** Called when the link comes up, and when it goes down with the reason. */
  readonly onLink: (up: boolean, reason: string | undefined) => void;
}

/** What joins a port or an uplink to its other end: a stream socket, or an interface of the host. It comes back by itself when it is lost. */
export interface FrameLink extends FrameSink {
  /** Why it is down; undefined while it is up. */
  readonly reason: string | undefined;
  /** Attempts to get it so far. */
  readonly dials: number;
  /** Begins to get it. */
  dial(): void;
  /** Lets go of it for good. Resolves when that is done. */
  close(): Promise<void>;
}

/** Makes the link to an interface of the host. */
export type InterfaceLinks = (interfaceName: string, handlers: FrameLinkHandlers) => FrameLink;

/** The link to an interface for a data plane that was given none of its host: it is down and says why. */
export const noInterfaceLinks: InterfaceLinks = (interfaceName) => ({
  reason: `interface '${interfaceName}': this data plane was given no interfaces of its host`,
  dials: 0,
  dial: () => undefined,
  close: async () => undefined,
  deliver: () => "linkDown",
  flush: () => undefined,
});
