import { VdcError } from "@vdc-os/core";
import type { CapturedFrame } from "@vdc-os/core/network/v1";
import type { Capture, PortTools } from "../dataplane/port-tools.ts";

/** A capture that nobody reads for so long is ended: its reader is gone. */
const forgottenAfterMs = 15_000;
const framesAtOnce = 256;
const largestSessions = 32;
const pollMs = 20;

interface Session {
  readonly capture: Capture;
  lost: number;
  forget: NodeJS.Timeout;
}

/** Captures of a host's ports, read in pieces by whoever began them. */
export class CaptureSessions {
  readonly #tools: PortTools;
  readonly #sessions = new Map<string, Session>();

  constructor(tools: PortTools) {
    this.#tools = tools;
  }

  begin(portKey: string, snapLength: number): { readonly capture: string } {
    if (this.#sessions.size >= largestSessions) {
      throw new VdcError("RESOURCE_EXHAUSTED", `${largestSessions} captures run on this host already: end one of them`);
    }
    const id = crypto.randomUUID();
    const capture = this.#tools.capture(portKey, { snapLength });
    this.#sessions.set(id, { capture, lost: 0, forget: this.#forgetLater(id) });
    return { capture: id };
  }

  /** The frames that wait, as soon as there are some; none after `waitMs`. */
  async take(
    id: string,
    { limit, waitMs, signal }: { readonly limit: number; readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<readonly CapturedFrame[]> {
    const session = this.#sessions.get(id);
    if (session === undefined) throw new VdcError("NOT_FOUND", `there is no capture '${id}': nobody read it in time`);
    clearTimeout(session.forget);
    const { capture } = session;
    const deadline = performance.now() + waitMs;
    let frames = capture.take(Math.min(limit, framesAtOnce));
    while (frames.length === 0 && performance.now() < deadline && !signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      frames = capture.take(Math.min(limit, framesAtOnce));
    }
    session.forget = this.#forgetLater(id);
    let missed = capture.lost - session.lost;
    session.lost = capture.lost;
    return frames.map(({ atMs, direction, length, bytes, drop }) => {
      const frame: CapturedFrame = {
        atMicroseconds: Math.round((performance.timeOrigin + atMs) * 1_000),
        direction,
        originalLength: length,
        data: Buffer.from(bytes).toString("base64"),
        missed,
        ...(drop === undefined ? {} : { dropped: drop }),
      };
      missed = 0;
      return frame;
    });
  }

  end(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    clearTimeout(session.forget);
    session.capture.close();
  }

  close(): void {
    for (const id of [...this.#sessions.keys()]) this.end(id);
  }

  #forgetLater(id: string): NodeJS.Timeout {
    const timer = setTimeout(() => this.end(id), forgottenAfterMs);
    timer.unref();
    return timer;
  }
}
