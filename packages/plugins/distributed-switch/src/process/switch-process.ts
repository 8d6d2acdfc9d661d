import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Json, type JsonObject, VdcError } from "@vdc-os/core";
import { DataPlane, type DataPlaneOptions } from "../dataplane/control.ts";
import { DataPlaneError } from "../dataplane/data-plane-error.ts";
import type { GreTransport } from "../wire/services/gre-transport.ts";
import { hostInterfaceLinks } from "../wire/tap/host-interface-links.ts";
import { CaptureSessions } from "./capture-sessions.ts";
import { CounterLedger } from "./counter-ledger.ts";
import { diagnosisMethods, type ProcessMethod } from "./diagnosis-methods.ts";
import {
  attachmentKey,
  type HostConfig,
  type HostPort,
  hostConfigSchema,
  tapsOf,
  toDataPlaneConfig,
} from "./host-config.ts";
import { attachmentNamed, ownedPort, portNamed } from "./named-port.ts";
import { HostServices } from "./host-services.ts";
import type { AttachmentCounters, ProcessStatus, SwitchProcessConfig } from "./process-protocol.ts";
import { StateFile } from "./state-file.ts";
import { statusOfProcess } from "./status-of-process.ts";
import { StatusSignal } from "./status-signal.ts";
import { VmTaps } from "./vm-taps.ts";

/** How often counters are written when nobody asks: what `kill -9` can cost of them. */
const saveIntervalMs = 5_000;

const noTraffic = { frames: 0, octets: 0, broadcast: 0, multicast: 0, dropped: 0, drops: {} };
const nothingCounted = { in: noTraffic, out: noTraffic, forwarded: 0, learningRefused: 0 };

/** Options of {@link SwitchProcess.open}. */
export interface SwitchProcessOptions {
  readonly config: SwitchProcessConfig;
  readonly dataPlane?: DataPlaneOptions;
  /** Opens the way of ERSPAN, or says why there is none. Defaults to the kernel's raw sockets. */
  readonly openGre?: () => GreTransport | string;
}

/**
 * What runs in a host's switch process: the data plane, and what makes it survive.
 *
 * It keeps its last configuration in a file and takes it up again when it starts, so that frames pass before a manager is back; and its
 * counters, which it writes before it tells them, so that what was told never goes back. Calls that change a port name the owner's
 * generation, and those of an older owner are refused. Calls run one after another, so each sees the result of the one before.
 */
export class SwitchProcess {
  /** The control protocol. */
  readonly methods: Readonly<Record<string, ProcessMethod>>;
  readonly #plane: DataPlane;
  readonly #services: HostServices;
  readonly #captures: CaptureSessions;
  readonly #taps: VmTaps;
  readonly #configFile: StateFile;
  readonly #counters: CounterLedger;
  readonly #signal = new StatusSignal();
  #config: HostConfig | undefined;
  /** The data plane counts its own generations: a fallback to another port is a new one. */
  #planeGeneration = 0;
  #saving: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();

  private constructor({ config: { directory }, dataPlane, openGre }: SwitchProcessOptions) {
    this.#configFile = new StateFile(join(directory, "config.json"));
    this.#counters = new CounterLedger(new StateFile(join(directory, "counters.json")));
    this.#taps = new VmTaps(directory);
    this.#services = new HostServices({ plane: () => this.#plane, openGre });
    this.#plane = new DataPlane({
      interfaces: hostInterfaceLinks,
      ...dataPlane,
      onLink: () => this.#signal.changed(),
      onRemoved: (statistics) => this.#counters.remove(statistics),
      onUplink: () => this.#signal.changed(),
      onFlows: (switchKey, records) => this.#services.takeFlows(switchKey, records),
      control: this.#services.control,
      mirrorSink: this.#services.mirrorSink,
    });
    this.#captures = new CaptureSessions(this.#plane.tools);
    const queued = (run: (params: Json) => Promise<unknown>) => (params: Json) => this.#queue(() => run(params));
    this.methods = {
      ...diagnosisMethods({
        plane: this.#plane,
        services: this.#services,
        captures: this.#captures,
        port: (params) => this.#port(params),
        queued,
      }),
      apply: queued((params) => this.#apply(params)),
      status: async (params, { signal }) => {
        await this.#signal.wait(params, signal);
        return plain(await this.#status());
      },
      portStatistics: queued(() => this.#statistics()),
      heldFrames: queued(async (params) => ({ frames: (await this.#portStatus(this.#port(params))).held })),
      release: queued(async (params) => {
        const { moved } = await this.#plane.release(
          attachmentKey(ownedPort(this.#config, params)),
          (params as { frames: number }).frames,
        );
        return { released: moved };
      }),
      discard: queued(async (params) => {
        const { moved } = await this.#plane.discard(attachmentKey(ownedPort(this.#config, params)));
        return { discarded: moved };
      }),
      setGate: queued((params) => this.#setGate(params)),
      exportPortState: queued(async (params) => this.#plane.tools.exportState(attachmentNamed(params))),
      importPortState: queued(async (params) => {
        const { state } = params as { state: JsonObject };
        // Counters are added up by the control side, over all attachments.
        this.#plane.tools.importState(attachmentNamed(params), { ...state, statistics: nothingCounted });
        return {};
      }),
    };
  }

  /** Starts with what the process before left. */
  static async open(options: SwitchProcessOptions): Promise<SwitchProcess> {
    const opened = new SwitchProcess(options);
    await opened.#restore();
    opened.#saving = setInterval(
      () => void opened.#queue(() => opened.#statistics()).catch(() => undefined),
      saveIntervalMs,
    );
    return opened;
  }

  async close(): Promise<void> {
    clearInterval(this.#saving);
    await this.#queue(() => this.#statistics());
    this.#signal.changed();
    this.#captures.close();
    await this.#plane.close();
    await this.#services.close();
  }

  /** For tests: ends as `kill -9` does, with nothing written. */
  async crash(): Promise<void> {
    clearInterval(this.#saving);
    this.#signal.changed();
    this.#captures.close();
    await this.#plane.close();
    await this.#services.close();
  }

  async #restore(): Promise<void> {
    await this.#counters.load();
    const left = hostConfigSchema.safeParse(await this.#configFile.read());
    // A configuration that can't be taken up again waits for the manager, which will say what is wrong with it.
    if (left.success) await this.#realise(left.data).catch(() => undefined);
  }

  async #apply(params: Json): Promise<{ generation: number }> {
    const parsed = hostConfigSchema.safeParse(params);
    if (!parsed.success)
      throw new VdcError("INVALID_ARGUMENT", `the configuration is refused: ${parsed.error.message}`);
    const config = parsed.data;
    const realised = this.#config;
    if (realised !== undefined && config.generation < realised.generation) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `configuration ${config.generation} is older than ${realised.generation}, which is realised`,
        { reason: "VDC_STALE_CONFIGURATION" },
      );
    }
    if (isDeepStrictEqual(config, realised)) return { generation: config.generation };
    await this.#statistics();
    await this.#realise(config);
    this.#counters.retire(new Set(config.switches.flatMap(({ ports }) => ports.map(attachmentKey))));
    await this.#configFile.write(config);
    this.#signal.changed();
    return { generation: config.generation };
  }

  async #realise(config: HostConfig): Promise<void> {
    const taps = tapsOf(config);
    await this.#taps.add(taps);
    for (const folder of new Set(
      config.switches.flatMap(({ ports }) =>
        ports.flatMap(({ path, tap }) => (tap === undefined ? [dirname(path)] : [])),
      ),
    )) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    }
    const { vtep } = await this.#plane.status();
    // The port in use is kept for as long as the address is: peers know it.
    const wanted = vtep?.listen.address === config.vtep.address ? vtep.listen.port : config.vtep.port;
    const apply = async (port: number): Promise<void> => {
      this.#planeGeneration += 1;
      await this.#plane.apply(toDataPlaneConfig(config, port, this.#planeGeneration)).catch(rethrow);
    };
    try {
      await apply(wanted);
    } catch (error) {
      if (wanted === 0 || !(error instanceof VdcError) || error.code !== "UNAVAILABLE") throw error;
      // Somebody else has the port by now. Peers learn the new one through the manager.
      await apply(0);
    }
    this.#config = config;
    await this.#taps.removeExcept(taps);
    this.#services.configure(config.switches);
    const gates = new Map((await this.#plane.status()).ports.map(({ key, gate }) => [key, gate]));
    for (const port of config.switches.flatMap(({ ports }) => ports)) {
      if (gates.get(attachmentKey(port)) !== port.gate) await this.#plane.setGate(attachmentKey(port), port.gate);
    }
  }

  async #status(): Promise<ProcessStatus> {
    const sources = {
      config: this.#config,
      plane: await this.#plane.status(),
      learned: (key: string) => this.#plane.tools.exportState(key).learned.map(({ mac }) => mac),
      findings: (key: string) => this.#services.findings(key),
      tapFailure: (tap: string) => this.#taps.failure(tap),
    };
    return { instance: this.#signal.instance, version: this.#signal.version, ...statusOfProcess(sources) };
  }

  async #statistics(): Promise<AttachmentCounters[]> {
    return this.#counters.tell(await this.#plane.portStatistics());
  }

  /** For a move of the port: until the next configuration, which says again what the gate should be. */
  async #setGate(params: Json): Promise<object> {
    const { id, attachment, gate } = params as { id: string; attachment: number; gate: HostPort["gate"] };
    const key = attachmentKey({ id, attachment });
    await this.#plane.setGate(key, gate);
    // The target may have been open for a moment, and heard.
    if (gate === "open") await this.#plane.announce(key);
    this.#signal.changed();
    return {};
  }

  #port(params: Json): HostPort {
    return portNamed(this.#config, params);
  }

  async #portStatus(port: HostPort): Promise<{ readonly held: number }> {
    const { ports } = await this.#plane.status();
    return ports.find(({ key }) => key === attachmentKey(port)) ?? { held: 0 };
  }

  #queue(run: () => Promise<unknown>): Promise<Json> {
    const result = this.#last.then(run);
    this.#last = result.catch(() => undefined);
    return result.then(plain, rethrow);
  }
}

function plain(value: unknown): Json {
  return value as Json;
}

function rethrow(error: unknown): never {
  if (!(error instanceof DataPlaneError)) throw error;
  throw new VdcError(error.code, error.message, { details: { problems: [...error.details] }, cause: error });
}
