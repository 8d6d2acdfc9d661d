/** The NBD export of an attachment. It names the generation, so an old owner that connects again asks for what is no more. */
export function exportNameOf(volumeId: string, generation: number): string {
  return `${volumeId}.g${generation}`;
}
