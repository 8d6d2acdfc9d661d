import { toVdcError } from "@vdc-os/core";
import type { Description, FacetAvailability } from "@vdc-os/core";
import type { PoolCapacity, VolumeHealth } from "@vdc-os/core/storage/v1";
import type { Datacenter } from "@vdc-os/sdk";
import { storageNames, storageOf } from "../datacenter/storage-access.ts";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { printable } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { formatTable } from "../terminal/table.ts";
import { type AddCommands, examples } from "./command-context.ts";

/** What is told of a pool. */
interface PoolReport {
  readonly name: string;
  readonly implementation?: Description["implementation"];
  readonly schedulable: boolean;
  readonly capacity?: PoolCapacity;
  /** What is promised, as a multiple of what volumes may take. */
  readonly overSubscription?: number;
  readonly health: VolumeHealth;
  readonly facets: Readonly<Record<string, FacetAvailability>>;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** `vdc storage pools`. */
export const addPoolCommands: AddCommands = (parent, bind) => {
  parent
    .command("pools")
    .description("the storage providers: space, promises, alarms, health")
    .option("--facets", "also what each can do, and why not")
    .addHelpText(
      "after",
      examples([
        ["vdc storage pools", "space and health of each pool"],
        ["vdc storage pools --facets", "snapshots, clones, ...: there, or why not"],
        ["vdc storage pools --json", "all of it, for programs"],
      ]),
    )
    .action(
      bind<{ facets?: boolean }>((context, { facets = false }) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const pools = await Promise.all(storageNames(dc).map((name) => reportOf(dc, name, signal)));
          terminal.result({ pools }, () => poolsText(pools, facets, terminal.style));
        }),
      ),
    );
};

async function reportOf(dc: Datacenter, name: string, signal: AbortSignal): Promise<PoolReport> {
  const object = await dc.storagePools.find(name, { signal });
  const schedulable = object?.spec.schedulable ?? true;
  const storage = storageOf(dc, name);
  try {
    const [description, capacity, health] = await Promise.all([
      storage.describe({ scope: {} }, { signal }),
      storage.capacity({}, { signal }),
      storage.health({}, { signal }),
    ]);
    const usable = capacity.totalBytes - capacity.reservedBytes;
    const { implementation, facets, attributes } = description;
    const overSubscription = usable > 0 ? { overSubscription: capacity.provisionedBytes / usable } : {};
    return { name, implementation, schedulable, capacity, ...overSubscription, health, facets, attributes };
  } catch (error) {
    if (signal.aborted) throw error;
    const { message } = toVdcError(error);
    return { name, schedulable, health: { condition: "abnormal", message }, facets: {}, attributes: {} };
  }
}

function poolsText(pools: readonly PoolReport[], facets: boolean, style: Style): string {
  const rows = pools.map(({ name, capacity, overSubscription, health, schedulable }) => [
    style.bold(name),
    size(capacity?.totalBytes),
    size(capacity?.freeBytes),
    size(capacity?.allocatedBytes),
    size(capacity?.provisionedBytes),
    promised(overSubscription, capacity?.maxOverSubscription ?? 0),
    healthText(health, style) + (schedulable ? "" : style.yellow(" (takes no new volumes)")),
  ]);
  const table = formatTable(
    [
      { title: "POOL" },
      { title: "TOTAL", align: "right" },
      { title: "FREE", align: "right" },
      { title: "USED", align: "right" },
      { title: "PROMISED", align: "right" },
      { title: "OF LIMIT", align: "right" },
      { title: "HEALTH" },
    ],
    rows,
    style.dim,
  );
  const alarms = pools.flatMap(({ name, capacity }) =>
    (capacity?.alarms ?? []).map(({ message }) => style.yellow(`alarm: '${name}': ${printable(message)}`)),
  );
  const troubles = pools
    .filter(({ health }) => health.condition !== "healthy")
    .map(({ name, health }) => style.red(`'${name}' is ${health.condition}: ${printable(health.message)}`));
  const lists = facets ? pools.map((pool) => `\n${facetsText(pool, style)}`) : [];
  return [table, ...alarms, ...troubles, ...lists].join("\n");
}

function size(bytes: number | undefined): string {
  return bytes === undefined ? "?" : formatByteSize(bytes);
}

/** `0.2 of 4`: what is promised and what may be, as multiples of the space. */
function promised(ratio: number | undefined, limit: number): string {
  if (ratio === undefined) return "?";
  return `${Number(ratio.toFixed(2))} of ${limit === 0 ? "any" : Number(limit.toFixed(2))}`;
}

function healthText({ condition }: VolumeHealth, style: Style): string {
  if (condition === "healthy") return style.green(condition);
  return condition === "degraded" ? style.yellow(condition) : style.red(condition);
}

function facetsText({ name, implementation, facets }: PoolReport, style: Style): string {
  const by = implementation === undefined ? "" : ` (${implementation.name} ${implementation.version})`;
  const rows = Object.entries(facets).map(([facet, availability]) =>
    availability.status === "available"
      ? [style.green("yes"), facet, limitsText(availability.limits)]
      : [style.dim("no"), facet, style.dim(printable(availability.reason))],
  );
  return `${style.bold(name)}${style.dim(by)}\n${formatTable([{ title: "" }, { title: "FACET" }, { title: "LIMITS, OR WHY NOT" }], rows, style.dim)}`;
}

function limitsText(limits: Readonly<Record<string, unknown>>): string {
  return Object.entries(limits)
    .map(([name, value]) => `${name} ${printable(Array.isArray(value) ? value.join("/") : String(value))}`)
    .join(", ");
}
