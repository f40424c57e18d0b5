// SPDX-License-Identifier: Apache-2.0
// Drives examples/android from a Java virtual machine: some steps and a stop, then an error. Arguments: library, model.
package org.pocketllm;
public class Training {
  public interface Listener { void onStep(long step, float loss); void onEnd(long done, String error); }
  public native long start(String dir, long steps, Listener l);
  public native void requestStop(long h);
  public native void finish(long h);
  public static void main(String[] a) throws Exception {
    System.load(a[0]);
    Training t = new Training();
    final boolean[] ended = {false}; final long[] seen = {0};
    Listener l = new Listener() {
      public void onStep(long s, float x) { seen[0] = s; System.out.println("step " + s + " loss " + x); }
      public void onEnd(long d, String e) { System.out.println("end " + d + " " + e); synchronized (ended) { ended[0] = true; ended.notifyAll(); } }
    };
    long h = t.start(a[1], 1000, l);
    while (seen[0] < 3 && !ended[0]) Thread.sleep(50);
    t.requestStop(h);
    synchronized (ended) { while (!ended[0]) ended.wait(); }
    t.finish(h);
    long g = t.start("/nowhere", 10, l);
    t.finish(g);
  }
}
