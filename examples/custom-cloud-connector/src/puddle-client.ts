import { toVdcError, VdcError } from "@vdc-os/core";
import { z } from "zod";

/** What the cloud makes a machine from. */
export interface MachineRequest {
  readonly name: string;
  readonly image: string;
  readonly size: string;
  readonly clientToken: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** A machine as the cloud tells it. */
export interface Machine extends MachineRequest {
  readonly id: string;
  readonly phase: "starting" | "on" | "ending";
  /** Milliseconds since 1970. */
  readonly born: number;
}

/** What comes from outside is held against this before it is believed. */
const machines: z.ZodType<readonly Machine[]> = z.array(
  z.object({
    id: z.string(),
    name: z.string(),
    image: z.string(),
    size: z.string(),
    clientToken: z.string(),
    tags: z.record(z.string(), z.string()),
    phase: z.enum(["starting", "on", "ending"]),
    born: z.number(),
  }),
);

/** How a cloud's answers are told. */
const codes: Readonly<Record<number, "UNAUTHENTICATED" | "PERMISSION_DENIED" | "NOT_FOUND" | "RESOURCE_EXHAUSTED">> = {
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
};

/** Speaks to the cloud. Each method is one request; none waits or tries again. */
export class PuddleClient {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  async account(signal: AbortSignal): Promise<string> {
    return String(((await this.#ask("GET", "me", { signal })) as { readonly account?: unknown }).account);
  }

  async make(wanted: MachineRequest, signal: AbortSignal): Promise<Machine> {
    const [machine] = machines.parse([await this.#ask("POST", "machines", { signal, body: wanted })]);
    if (machine === undefined) throw new VdcError("INTERNAL", "the cloud made nothing");
    return machine;
  }

  /** All machines, or one, or those with a tag. */
  async find(
    { id, ...tags }: { readonly id?: string } & Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<readonly Machine[]> {
    if (id !== undefined && !isMachineId(id)) return this.#nobody(signal);
    const path = id === undefined ? "machines" : `machines/${id}`;
    return machines.parse(await this.#ask("GET", `${path}?${new URLSearchParams(tags)}`, { signal }));
  }

  async remove(id: string, signal: AbortSignal): Promise<readonly Machine[]> {
    if (!isMachineId(id)) return this.#nobody(signal);
    return machines.parse(await this.#ask("DELETE", `machines/${id}`, { signal }));
  }

  /** What a stranger asks for is told to nobody, not even that it is not there. */
  async #nobody(signal: AbortSignal): Promise<readonly Machine[]> {
    await this.account(signal);
    return [];
  }

  async #ask(
    method: string,
    path: string,
    { signal, body }: { readonly signal: AbortSignal; readonly body?: unknown },
  ): Promise<unknown> {
    let response: Response;
    let text: string;
    try {
      const init = { method, signal, headers: { authorization: `Bearer ${this.#token}` } };
      response = await fetch(
        `${this.#url}/${path}`,
        body === undefined ? init : { ...init, body: JSON.stringify(body) },
      );
      text = await response.text();
    } catch (cause) {
      if (signal.aborted) throw toVdcError(signal.reason);
      // Whether the cloud did it can't be known: the datacenter looks, and does not repeat blindly.
      throw new VdcError("UNAVAILABLE", `the cloud at '${this.#url}' did not answer`, { cause });
    }
    if (response.ok) return JSON.parse(text) as unknown;
    const code = codes[response.status] ?? (response.status >= 500 ? "UNAVAILABLE" : "INTERNAL");
    throw new VdcError(code, `the cloud answered ${response.status}: ${text.slice(0, 200)}`);
  }
}

/** Whether the cloud could have given this id out. Another one is nobody's, and does not become part of an address: `..` would lead elsewhere. */
export function isMachineId(id: string): boolean {
  return /^m-\d+$/.test(id);
}
