/** How many in a second, for people: `12/s`, `0.4/s`, `0/s`. */
export function formatCountRate(perSecond: number): string {
  return `${perSecond < 9.95 ? perSecond.toFixed(1).replace(/\.0$/, "") : Math.round(perSecond).toLocaleString("en")}/s`;
}
