/** A logical flow of the southbound database that must have become flows of a chassis' bridge. */
export interface LogicalFlowView {
  /** What `ovn-controller` marks its flows with: the first 32 bits of the row's uuid. */
  readonly cookie: bigint;
  /** What it is for, as OVN names it: `ls_in_dhcp_options`. */
  readonly stage: string;
}

/** What of a row is looked at. */
export interface LogicalFlowRow {
  readonly _uuid: string;
  readonly match: string;
  readonly external_ids: Readonly<Record<string, string>>;
}

/**
 * The stages whose logical flows hold what a spec asks for: a flow that is missing there means that DHCP does not answer, or that a rule or a limit is not in
 * force. Names are those of OVN 22.03 to 25.03.
 */
export const verifiedStages: readonly string[] = [
  "ls_in_dhcp_options",
  "ls_in_dhcp_response",
  "ls_in_acl",
  "ls_in_acl_eval",
  "ls_out_acl",
  "ls_out_acl_eval",
  "ls_in_qos_meter",
  "ls_out_qos_meter",
  "ls_in_qos",
  "ls_out_qos",
];

/** The logical port that a logical flow is for; nothing for one that is for none, or that no frame can match. */
export function portsOf({ match }: Pick<LogicalFlowRow, "match">): readonly string[] {
  const port = /\b(?:inport|outport) == "([^"]+)"/.exec(match)?.[1];
  return port === undefined || isImpossible(match) ? [] : [port];
}

/** The row as it is looked for on a bridge. */
export function viewOf({ _uuid, external_ids }: LogicalFlowRow): LogicalFlowView {
  return { cookie: BigInt(`0x${_uuid.slice(0, 8)}`), stage: external_ids["stage-name"] ?? "" };
}

/** A rule that contradicts itself becomes no flow at all, and that is right. */
function isImpossible(match: string): boolean {
  const hasPorts = /\((?:tcp|udp|sctp) &&/.test(match);
  const protocol = /\bip\.proto == (\d+)/.exec(match)?.[1];
  const isOther = protocol !== undefined && !["6", "17", "132"].includes(protocol);
  const families = [/\bip4\./, /\bip6\./, /\beth\.type ==/].filter((family) => family.test(match)).length;
  return (
    families > 1 || (hasPorts && isOther) || (/\beth\.type ==/.test(match) && (hasPorts || protocol !== undefined))
  );
}
