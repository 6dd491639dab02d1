/** GET /: the page that shows the progress. */
export async function screenPage(): Promise<{ html: string; headers: Readonly<Record<string, string>> }> {
  return { html: '<!doctype html><title>tope-updater</title>', headers: {} };
}
