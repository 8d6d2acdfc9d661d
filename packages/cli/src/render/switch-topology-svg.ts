import { formatBitRate } from "../terminal/bit-rate.ts";
import { formatCountRate } from "../terminal/count-rate.ts";
import { coordinate, ellipsis, escapeXml, svgDocument } from "./svg.ts";
import {
  layoutTopology,
  type PlacedHost,
  type SwitchTopology,
  type TopologyHost,
  type TopologyPort,
  topologySizes,
} from "./switch-topology-layout.ts";

export type { SwitchTopology, TopologyHost, TopologyPort } from "./switch-topology-layout.ts";

const groupColours = 6;

const rules: readonly string[] = [
  "svg { --good: #1a7f37; --bad: #cf222e; --g0: #0969da; --g1: #8250df; --g2: #bc4c00; --g3: #1b7c83; --g4: #bf3989; --g5: #4d7c0f; --card: #f6f8fa; }",
  "@media (prefers-color-scheme: dark) { svg { --good: #3fb950; --bad: #f85149; --g0: #4493f8; --g1: #ab7df8; --g2: #db6d28; --g3: #39c5cf; --g4: #db61a2; --g5: #84cc16; --card: #151b23; } }",
  ".switch { fill: var(--tint); stroke: var(--data); stroke-width: 1.5; }",
  ".card { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }",
  ".wire { fill: none; stroke: var(--data); stroke-width: 2; }",
  ".wire-off { fill: none; stroke: var(--muted); stroke-width: 2; stroke-dasharray: 5 4; }",
  ".rule { stroke: var(--line); stroke-width: 1; }",
  ".name { font-weight: 600; }",
  ".big { font-size: 14px; font-weight: 600; }",
  ".small { font-size: 11px; }",
  ".rate { text-anchor: end; font-variant-numeric: tabular-nums; }",
  ".good { fill: var(--good); }",
  ".warn { fill: var(--zero); }",
  ".bad { fill: var(--bad); }",
  ".off { fill: var(--surface); stroke: var(--muted); stroke-width: 1.5; }",
  ".flow { fill: var(--data); }",
  ".track { fill: var(--line); }",
  ...Array.from({ length: groupColours }, (_, at) => `.g${at} { fill: var(--g${at}); }`),
];

const sendsAt = 268;
const getsAt = 356;
const barWidth = 72;
/** About how wide a letter is, in pixels. */
const nameWidth = 9;
const smallWidth = 6.6;

/**
 * A switch, as a picture: the switch with its port groups above, below it the hosts with their states and uplinks, and on each its ports with VM, VLAN, link and rates. It
 * shows in light and dark, and says in words what it shows. Pure.
 */
export function switchTopologySvg(topology: SwitchTopology): string {
  const { name, network, transport, mtu, portGroups, hosts } = topology;
  const { placed, width, height } = layoutTopology(hosts);
  const { margin, switchTop, switchHeight } = topologySizes;
  const ports = hosts.flatMap((host) => host.ports);
  const groups = new Map(portGroups.map((group, at) => [group.name, at % groupColours]));
  const fastest = Math.max(1, ...ports.flatMap(({ rates }) => (rates === undefined ? [] : [rates.sends, rates.gets])));
  const sum = (of: "sends" | "gets"): number => ports.reduce((all, { rates }) => all + (rates?.[of] ?? 0), 0);
  const measured = ports.some(({ rates }) => rates !== undefined);
  const counts = [
    `${hosts.length} ${hosts.length === 1 ? "host" : "hosts"}`,
    `${ports.length} ${ports.length === 1 ? "port" : "ports"}`,
    ...(measured ? [`VMs send ${formatBitRate(sum("sends"))} and get ${formatBitRate(sum("gets"))}`] : []),
  ].join(" · ");
  const body = [
    `<text class="title" x="${margin}" y="36">${escapeXml(ellipsis(`Switch ${name}`, 60))}</text>`,
    `<text class="muted" x="${margin}" y="58">${escapeXml(ellipsis(counts, Math.floor(width / 7)))}</text>`,
    ...placed.map((host) => wire(host)),
    `<rect class="switch" x="${margin}" y="${switchTop}" width="${width - 2 * margin}" height="${switchHeight}" rx="8"/>`,
    `<text class="big" x="${margin + 16}" y="${switchTop + 24}">${escapeXml(ellipsis(name, 26))}</text>`,
    `<text class="muted small" x="${width - margin - 16}" y="${switchTop + 24}" text-anchor="end">${escapeXml(ellipsis(`${network} · ${transport} · MTU ${mtu}`, width < 500 ? 28 : 60))}</text>`,
    ...legend(portGroups, groups, width),
    ...placed.flatMap((host) => card(host, { groups, fastest })),
  ];
  return svgDocument({
    width,
    height,
    title: `Switch ${name}: hosts, port groups and ports`,
    description: `${counts}. ${hosts.map(inWords).join(" ")}`,
    rules,
    body,
  });
}

function legend(
  portGroups: SwitchTopology["portGroups"],
  groups: ReadonlyMap<string, number>,
  width: number,
): readonly string[] {
  const { margin, switchTop } = topologySizes;
  const y = switchTop + 44;
  const parts: string[] = [];
  let x = margin + 16;
  for (const [at, { name, vlan }] of portGroups.entries()) {
    const text = ellipsis(vlan === "-" ? name : `${name} · VLAN ${vlan}`, 30);
    const needed = 20 + text.length * 6.6;
    if (x + needed > width - margin - 60) {
      parts.push(`<text class="muted small" x="${coordinate(x)}" y="${y}">and ${portGroups.length - at} more</text>`);
      break;
    }
    parts.push(
      `<rect class="g${groups.get(name) ?? 0}" x="${coordinate(x)}" y="${y - 9}" width="10" height="10" rx="2"/>`,
      `<text class="small" x="${coordinate(x + 15)}" y="${y}">${escapeXml(text)}</text>`,
    );
    x += needed;
  }
  return parts;
}

/** From the switch to a host's card; to those of lower rows beside the cards above. */
function wire({ host, x, y, row }: PlacedHost): string {
  const { switchTop, switchHeight, cardWidth, gap, margin, drop } = topologySizes;
  const from = switchTop + switchHeight;
  const kind = host.state === "up" || host.state === "warning" ? "wire" : "wire-off";
  const middle = x + cardWidth / 2;
  if (row === 0) return `<path class="${kind}" d="M${coordinate(middle)} ${from}V${y}"/>`;
  const aside = x - (x > margin + 1 ? gap / 2 : margin / 2);
  const turn = y - drop / 2;
  const start = x > margin + 1 ? aside : margin + 6;
  const lead = start === aside ? "" : `V${from + drop / 4}H${coordinate(aside)}`;
  return `<path class="${kind}" d="M${coordinate(start)} ${from}${lead}V${turn}H${coordinate(middle)}V${y}"/>`;
}

interface CardOptions {
  readonly groups: ReadonlyMap<string, number>;
  readonly fastest: number;
}

function card({ host, x, y, height }: PlacedHost, options: CardOptions): readonly string[] {
  const { cardWidth, header, portRow } = topologySizes;
  const { ports, uplinks } = host;
  const measured = ports.some(({ rates }) => rates !== undefined);
  const lines = [
    `<g transform="translate(${coordinate(x)} ${coordinate(y)})">`,
    `<title>${escapeXml(inWords(host))}</title>`,
    `<rect class="card" width="${cardWidth}" height="${height}" rx="8"/>`,
    ...heading(host),
    ...(measured
      ? [
          `<text class="muted small rate" x="${sendsAt}" y="40">sends</text>`,
          `<text class="muted small rate" x="${getsAt}" y="40">gets</text>`,
        ]
      : []),
    `<line class="rule" x1="1" x2="${cardWidth - 1}" y1="${header - 4}" y2="${header - 4}"/>`,
    ...ports.flatMap((port, at) => portLines(port, header + at * portRow, options)),
    ...(ports.length === 0 ? [`<text class="muted" x="16" y="${header + 23}">no ports</text>`] : []),
    ...(uplinks.length === 0 ? [] : uplinkLines(uplinks, header + Math.max(1, ports.length) * portRow)),
    "</g>",
  ];
  return lines;
}

const goodMark = { kind: "good", shape: "●" };
const warnMark = { kind: "warn", shape: "▲" };
const badMark = { kind: "bad", shape: "■" };

/** A host's name and state; the shape says that too, since not everybody sees the colour. Each leaves room for the other. */
function heading({ host, state, detail }: TopologyHost): readonly string[] {
  const { kind, shape } = state === "up" ? goodMark : state === "warning" || state === "pending" ? warnMark : badMark;
  const room = topologySizes.cardWidth - 32;
  const name = ellipsis(host, state === "up" ? Math.floor((room - 40) / nameWidth) : 18);
  const left = Math.floor((room - 24 - name.length * nameWidth) / smallWidth);
  const text = ellipsis(detail === "" || state === "up" ? state : `${state}: ${detail}`, Math.max(12, left));
  const x = topologySizes.cardWidth - 16;
  return [
    `<text class="big" x="16" y="22">${escapeXml(name)}</text>`,
    `<text class="small" x="${x}" y="22" text-anchor="end"><tspan class="${kind}">${shape}</tspan> ${escapeXml(text)}</text>`,
  ];
}

function portLines(port: TopologyPort, y: number, { groups, fastest }: CardOptions): readonly string[] {
  const { label, portGroup, vlan, link, problem, rates } = port;
  const colour = `g${groups.get(portGroup) ?? 0}`;
  const dot =
    problem !== undefined
      ? `<rect class="bad" x="14" y="${y + 8}" width="9" height="9"/>`
      : link === "up"
        ? `<circle class="good" cx="18.5" cy="${y + 12.5}" r="4.5"/>`
        : `<circle class="off" cx="18.5" cy="${y + 12.5}" r="4"/>`;
  const drops = rates?.drops ?? 0;
  const lost = problem === undefined && drops > 0 ? `drops ${formatCountRate(drops)}` : "";
  const below =
    problem ??
    [...(link === "up" ? [] : ["link down"]), portGroup, ...(vlan === "-" ? [] : [`VLAN ${vlan}`])].join(" · ");
  return [
    `<rect class="${colour}" x="1" y="${y + 2}" width="3" height="${topologySizes.portRow - 6}"/>`,
    dot,
    `<text class="name" x="32" y="${y + 16}">${escapeXml(ellipsis(label, rates === undefined ? 40 : 22))}</text>`,
    `<text class="${problem === undefined ? "muted" : "bad"} small" x="32" y="${y + 30}">${lost === "" ? "" : `<tspan class="warn">${lost}</tspan> · `}${escapeXml(ellipsis(below, problem === undefined ? (rates === undefined ? 50 : Math.max(6, 26 - lost.length)) : 52))}</text>`,
    ...(rates === undefined || problem !== undefined
      ? []
      : [...rateLines(rates.sends, sendsAt, { y, fastest }), ...rateLines(rates.gets, getsAt, { y, fastest })]),
  ];
}

function rateLines(rate: number, x: number, { y, fastest }: { y: number; fastest: number }): readonly string[] {
  const length = rate < 0.5 ? 0 : Math.max(2, (rate / fastest) * barWidth);
  return [
    `<text class="${length === 0 ? "muted " : ""}small rate" x="${x}" y="${y + 16}">${escapeXml(formatBitRate(rate))}</text>`,
    `<rect class="track" x="${x - barWidth}" y="${y + 24}" width="${barWidth}" height="4" rx="2"/>`,
    ...(length === 0
      ? []
      : [`<rect class="flow" x="${x - barWidth}" y="${y + 24}" width="${coordinate(length)}" height="4" rx="2"/>`]),
  ];
}

function uplinkLines(uplinks: TopologyHost["uplinks"], y: number): readonly string[] {
  const parts = [
    `<line class="rule" x1="1" x2="${topologySizes.cardWidth - 1}" y1="${y}" y2="${y}"/>`,
    `<text class="muted small" x="16" y="${y + 22}">uplinks</text>`,
  ];
  let x = 68;
  for (const { name, link } of uplinks.slice(0, 6)) {
    const text = ellipsis(name, 10);
    parts.push(
      link === "down"
        ? `<circle class="off" cx="${coordinate(x)}" cy="${y + 18}" r="3.5"/>`
        : `<circle class="${link === undefined ? "muted" : "good"}" cx="${coordinate(x)}" cy="${y + 18}" r="4"/>`,
      `<text class="small" x="${coordinate(x + 8)}" y="${y + 22}">${escapeXml(text)}</text>`,
    );
    x += 22 + text.length * 6.6;
  }
  return parts;
}

function inWords({ host, state, detail, ports, uplinks }: TopologyHost): string {
  const facts = ports
    .slice(0, 50)
    .map(({ label, portGroup, vlan, link, problem, rates }) =>
      [
        `${label} in ${portGroup}${vlan === "-" ? "" : ` (VLAN ${vlan})`}, link ${link}`,
        ...(rates === undefined ? [] : [`sends ${formatBitRate(rates.sends)}, gets ${formatBitRate(rates.gets)}`]),
        ...(rates === undefined || rates.drops === 0 ? [] : [`drops ${formatCountRate(rates.drops)}`]),
        ...(problem === undefined ? [] : [problem]),
      ].join(", "),
    );
  const ways = uplinks.map(({ name, link }) => (link === undefined ? name : `${name} ${link}`));
  const said = detail === "" ? state : `${state} (${detail})`;
  return `Host ${host} is ${said}${ways.length === 0 ? "" : `, uplinks ${ways.join(", ")}`}: ${facts.length === 0 ? "no ports" : facts.join("; ")}.`;
}
