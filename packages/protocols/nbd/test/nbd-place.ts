import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { NbdClient, type NbdConnectOptions, NbdServer, type NbdServerOptions } from "../src/index.ts";
import { RawClient } from "./raw-client.ts";

/** What each test of a file has for itself: a server on a Unix socket, and clients of it. All of it is closed and gone after the test. */
export class NbdPlace {
  #folder = "";
  #server: NbdServer | undefined;
  #opened: { close(): unknown }[] = [];

  constructor() {
    beforeEach(async () => {
      this.#folder = await mkdtemp(join(tmpdir(), "nbd-"));
    });
    afterEach(async () => {
      for (const one of this.#opened) await one.close();
      this.#opened = [];
      await this.#server?.close({ graceMs: 0 });
      await rm(this.#folder, { recursive: true, force: true });
    });
  }

  get folder(): string {
    return this.#folder;
  }

  /** Where the server listens. */
  get path(): string {
    return join(this.#folder, "s");
  }

  /** Starts the server of this test. */
  async listen(options: NbdServerOptions = {}): Promise<NbdServer> {
    this.#server = new NbdServer(options);
    await this.#server.listenUnix(this.path);
    return this.#server;
  }

  async open(options: NbdConnectOptions): Promise<NbdClient> {
    return this.closeAfter(await NbdClient.connect(this.path, options));
  }

  async raw(flags?: number): Promise<RawClient> {
    return this.closeAfter(await RawClient.connect(this.path, flags));
  }

  /** Closes something after the test, before the server. */
  closeAfter<T extends { close(): unknown }>(one: T): T {
    this.#opened.push(one);
    return one;
  }
}
