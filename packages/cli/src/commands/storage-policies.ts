import { VdcError } from "@vdc-os/core";
import type { AttributeConstraint, AttributeValue, StoragePolicyInput, StoragePolicySpec } from "@vdc-os/sdk";
import { withDatacenter } from "../datacenter/with-datacenter.ts";
import { usageError } from "../failure/failure.ts";
import { parseByteSize } from "../terminal/byte-size.ts";
import { formatTable } from "../terminal/table.ts";
import { type AddCommands, examples, textArgument } from "./command-context.ts";

interface CreateOptions {
  readonly facet?: readonly string[];
  readonly attribute?: readonly string[];
  readonly provisioning?: string;
  readonly encrypted?: boolean;
  readonly headroom?: string;
  readonly maxOverSubscription?: string;
  readonly iops?: string;
  readonly bandwidth?: string;
  readonly label?: readonly string[];
}

/** `vdc storage policies`, and `vdc storage policy create|remove`. */
export const addPolicyCommands: AddCommands = (parent, bind) => {
  parent
    .command("policies")
    .description("the storage policies: what volumes can ask of their storage")
    .action(
      bind((context) =>
        withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const found = await dc.storagePolicies.list({ signal });
          const policies = found.map(({ metadata, spec }) => ({ name: metadata.name, ...spec }));
          terminal.result({ policies }, () => {
            if (policies.length === 0) return "There are no policies: 'vdc storage policy create --help'.";
            const rows = policies.map((policy) => [terminal.style.bold(policy.name), describePolicy(policy)]);
            return formatTable([{ title: "POLICY" }, { title: "ASKS FOR" }], rows, terminal.style.dim);
          });
        }),
      ),
    );

  const policy = parent.command("policy").description("make and remove storage policies");
  policy
    .command("create")
    .description("make a policy")
    .argument("<name>", "its name")
    .option("--facet <name...>", "what the storage must be able to do: snapshots, changedBlocks, ...")
    .option("--attribute <rule...>", "what it must be: 'media=ssd,nvme' or 'redundancy>=1'")
    .option("--provisioning <kind>", "'thin' or 'thick'")
    .option("--encrypted", "everything on it must be encrypted")
    .option("--headroom <percent>", "what must stay free: '10%'")
    .option("--max-over-subscription <times>", "how far promises may exceed the space")
    .option("--iops <number>", "each volume's limit of operations per second")
    .option("--bandwidth <size>", "each volume's limit of bytes per second: '100M'")
    .option("--label <label...>", "labels that the pool must have: 'tier=gold'")
    .addHelpText(
      "after",
      examples([
        ["vdc storage policy create gold --facet snapshots --attribute media=ssd,nvme", "fast, with snapshots"],
        ["vdc storage policy create bulk --headroom 20% --iops 500", "limits for each volume"],
        ["vdc storage volume create disk --policy gold --size 10G", "a volume by policy"],
      ]),
    )
    .action(
      bind<CreateOptions>((context, options, args) => {
        const name = textArgument(args, 0);
        const spec = policyOf(options);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const made = await dc.storagePolicies.createAndWait({ name, spec }, { signal });
          terminal.result({ policy: { name, ...made.spec } }, () => `Policy '${name}': ${describePolicy(made.spec)}`);
        });
      }),
    );
  policy
    .command("remove")
    .description("remove a policy that no volume names")
    .argument("<name>", "its name")
    .action(
      bind((context, _options, args) => {
        const name = textArgument(args, 0);
        return withDatacenter(context, async (dc) => {
          const { terminal, signal } = context;
          const users = (await dc.volumes.list({ signal })).filter(({ spec }) => spec.policy === name);
          if (users.length > 0) {
            throw new VdcError("FAILED_PRECONDITION", `volumes still name policy '${name}'`, {
              blockers: users.map(({ metadata }) => ({ kind: "Volume", name: metadata.name })),
            });
          }
          await dc.storagePolicies.get(name, { signal });
          await dc.storagePolicies.deleteAndWait(name, { signal });
          terminal.result({ removed: name }, () => `Policy '${name}' is removed.`);
        });
      }),
    );
};

/** The policy that a command line asks for. Fails with a usage error. */
export function policyOf(options: CreateOptions): StoragePolicyInput {
  const { facet, attribute, provisioning, encrypted, headroom, maxOverSubscription, iops, bandwidth, label } = options;
  if (provisioning !== undefined && provisioning !== "thin" && provisioning !== "thick") {
    throw usageError(`'--provisioning ${provisioning}': say 'thin' or 'thick'`);
  }
  const limited = iops !== undefined || bandwidth !== undefined;
  const bytesPerSecond = bandwidth === undefined ? 0 : parseByteSize(bandwidth);
  const qos = { iops: iops === undefined ? 0 : numberOf("--iops", iops), bytesPerSecond };
  return {
    ...(facet === undefined ? {} : { facets: facet }),
    ...(attribute === undefined ? {} : { attributes: Object.fromEntries(attribute.map(constraintOf)) }),
    ...(provisioning === undefined ? {} : { provisioning }),
    ...(encrypted === true ? { encryption: "required" } : {}),
    ...(headroom === undefined ? {} : { headroom: fractionOf(headroom) }),
    ...(maxOverSubscription === undefined
      ? {}
      : { maxOverSubscription: numberOf("--max-over-subscription", maxOverSubscription) }),
    ...(limited ? { qos } : {}),
    ...(label === undefined
      ? {}
      : { requiredLabels: Object.fromEntries(label.map((each) => pairOf("--label", each))) }),
  };
}

function constraintOf(text: string): [string, AttributeConstraint] {
  const least = /^([^=>]+)>=(.+)$/.exec(text);
  if (least !== null) return [least[1] ?? "", { atLeast: numberOf("--attribute", least[2] ?? "") }];
  const [name, values] = pairOf("--attribute", text);
  return [name, { in: values.split(",").map(attributeValue) }];
}

function attributeValue(text: string): AttributeValue {
  if (text === "true" || text === "false") return text === "true";
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function pairOf(option: string, text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw usageError(`'${option} ${text}': say 'name=value'`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function fractionOf(text: string): number {
  return text.endsWith("%") ? numberOf("--headroom", text.slice(0, -1)) / 100 : numberOf("--headroom", text);
}

function numberOf(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw usageError(`'${option} ${text}': say a number`);
}

/** What a policy asks for, in one line. */
export function describePolicy(policy: StoragePolicySpec): string {
  const { facets, attributes, provisioning, encryption, headroom, maxOverSubscription, qos, requiredLabels } = policy;
  const parts = [
    ...facets,
    ...Object.entries(attributes).map(([name, rule]) =>
      [
        rule.in === undefined ? "" : `${name} ${rule.in.join(" or ")}`,
        rule.atLeast === undefined ? "" : `${name} at least ${rule.atLeast}`,
      ]
        .filter(Boolean)
        .join(" and "),
    ),
    provisioning === "any" ? "" : provisioning,
    encryption === "required" ? "encrypted" : "",
    headroom > 0 ? `${Number((headroom * 100).toFixed(1))}% free` : "",
    maxOverSubscription === undefined ? "" : `promises up to ${maxOverSubscription} times`,
    qos !== undefined && qos.iops > 0 ? `${qos.iops} operations/s` : "",
    qos !== undefined && qos.bytesPerSecond > 0 ? `${qos.bytesPerSecond} bytes/s` : "",
    ...Object.entries(requiredLabels).map(([name, value]) => `label ${name}=${value}`),
  ].filter((part) => part !== "");
  return parts.length === 0 ? "nothing" : parts.join(", ");
}
