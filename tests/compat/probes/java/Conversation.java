import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/** What the probes of Java clients share: the environment, and the conversation with who runs them (see compat.Probe). */
final class Conversation {
  interface Tried { String run() throws Exception; }

  static final String HOST = System.getenv("COMPAT_HOST");
  static final int PORT = Integer.parseInt(System.getenv("COMPAT_PORT"));
  static final int AUTH_PORT = Integer.parseInt(System.getenv("COMPAT_AUTH_PORT"));
  static final int TLS_PORT = Integer.parseInt(System.getenv("COMPAT_TLS_PORT"));
  static final String PASSWORD = System.getenv("COMPAT_PASSWORD");
  static final String SEED = "truth from the log";
  static final long PATIENCE_MS = 30_000;

  private static final Set<String> COLUMNS = new HashSet<>(Arrays.asList(System.getenv("COMPAT_COLUMNS").split(",")));
  private static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

  static String key(String name) { return System.getenv("COMPAT_PREFIX") + name; }

  static void version() { System.out.println("{\"version\": " + json(System.getenv("COMPAT_VERSION")) + "}"); }

  static void column(String name, Tried f) {
    if (!COLUMNS.contains(name)) return;
    boolean ok = false;
    String note;
    try {
      note = f.run();
      ok = true;
    } catch (Throwable e) {
      note = said(e);
    }
    System.out.println("{\"column\": " + json(name) + ", \"ok\": " + ok + ", \"note\": " + json(note == null ? "" : note) + "}");
  }

  /** An error with its causes, where the server's own words are. */
  static String said(Throwable e) {
    StringBuilder s = new StringBuilder();
    for (Throwable t = e; t != null && s.length() < 1000; t = t.getCause()) {
      if (t.getMessage() == null || s.indexOf(t.getMessage()) < 0) {
        s.append(s.length() == 0 ? "" : ": ").append(t.getClass().getSimpleName()).append(": ").append(t.getMessage());
      }
      for (Throwable more : t.getSuppressed()) s.append(" (").append(more.getMessage()).append(')');
    }
    return s.toString();
  }

  static String json(String s) {
    StringBuilder b = new StringBuilder("\"");
    for (char c : s.toCharArray()) {
      if (c == '"' || c == '\\') b.append('\\').append(c);
      else if (c < ' ') b.append(String.format("\\u%04x", (int) c));
      else b.append(c);
    }
    return b.append('"').toString();
  }

  private static void ask(String question, String name) throws Exception {
    System.out.println(question);
    String answer = ANSWERS.readLine();
    if (!"ok".equals(answer)) throw new IllegalStateException(name + ": " + answer);
  }

  static void produce(String key, String value) throws Exception {
    ask("{\"ask\": \"produce\", \"key\": " + json(key) + ", \"value\": " + json(value) + "}", "produce");
  }

  static void same(Object got, Object want) {
    if (!Objects.equals(got, want)) {
      String g = String.valueOf(got), w = String.valueOf(want);
      throw new AssertionError("got " + g.substring(0, Math.min(100, g.length())) + ", want " + w.substring(0, Math.min(100, w.length())));
    }
  }

  static void refused(String word, Tried f) {
    String got;
    try {
      got = f.run();
    } catch (Throwable e) {
      if (!said(e).contains(word)) throw new AssertionError("got " + said(e) + ", want " + word);
      return;
    }
    throw new AssertionError("got " + got + ", want an error with " + word);
  }

  static void eventually(Tried f) throws Exception {
    for (long deadline = System.currentTimeMillis() + PATIENCE_MS;; Thread.sleep(5)) {
      try {
        f.run();
        return;
      } catch (Throwable e) {
        if (System.currentTimeMillis() > deadline) throw new AssertionError("not within " + PATIENCE_MS + " ms", e);
      }
    }
  }

  /** Has the daemon restarted, and get, which reads the seed, go on by itself. */
  static String reconnect(Tried get) throws Exception {
    same(get.run(), SEED);
    ask("{\"ask\": \"restart\"}", "restart");
    CompletableFuture<String> first = CompletableFuture.supplyAsync(() -> {
      try {
        return "while it loads, GET is shown " + get.run();
      } catch (Throwable e) {
        return "while it loads, GET is shown: " + said(e);
      }
    });
    String note;
    try {
      note = first.get(1500, TimeUnit.MILLISECONDS); // long enough for a library that shows it
    } catch (TimeoutException e) {
      note = "while it loads, GET is tried again and waits";
    }
    ask("{\"ask\": \"ready\"}", "ready");
    eventually(() -> { same(get.run(), SEED); return null; });
    return note;
  }

  static void scanned(Iterable<String> keys) {
    Set<String> got = new HashSet<>();
    keys.forEach(got::add);
    Set<String> want = new HashSet<>();
    for (int n = 0; n < 300; n++) want.add(key("scan:" + n));
    same(got.size(), 300);
    same(got.equals(want), true);
  }

  static String callers(Function<String, String> get) throws Exception {
    CompletableFuture<?>[] all = new CompletableFuture<?>[50];
    java.util.concurrent.ExecutorService threads = java.util.concurrent.Executors.newFixedThreadPool(50);
    for (int n = 0; n < all.length; n++) {
      int m = n;
      all[n] = CompletableFuture.runAsync(() -> {
        for (int i = 0; i < 20; i++) same(get.apply(key("scan:" + m)), "truth " + m);
      }, threads);
    }
    CompletableFuture.allOf(all).get(PATIENCE_MS, TimeUnit.MILLISECONDS);
    threads.shutdown();
    return null;
  }

  static void waited(long beganNanos) {
    long took = (System.nanoTime() - beganNanos) / 1_000_000;
    if (took < 290 || took > 10_000) throw new AssertionError("WAIT of 300 ms took " + took + " ms");
  }

  static byte[] every(String before) {
    byte[] b = before.getBytes(StandardCharsets.UTF_8);
    byte[] all = Arrays.copyOf(b, b.length + 256);
    for (int i = 0; i < 256; i++) all[b.length + i] = (byte) i;
    return all;
  }

  static String big() {
    StringBuilder b = new StringBuilder();
    for (int n = 0; b.length() < 5 << 20; n++) b.append("truth ").append(n).append(' ');
    return b.toString();
  }

  static List<String> list(String... values) { return Arrays.asList(values); }
}
