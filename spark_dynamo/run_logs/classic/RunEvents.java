import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.Function;

import com.codahale.metrics.Counter;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.AccumulableInfo;
import org.apache.spark.scheduler.JobFailed;
import org.apache.spark.scheduler.LiveListenerBus;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.sql.execution.SparkPlanInfo;
import org.apache.spark.sql.execution.metric.SQLMetricInfo;
import org.apache.spark.sql.execution.ui.SparkListenerDriverAccumUpdates;
import org.apache.spark.sql.execution.ui.SparkListenerSQLAdaptiveExecutionUpdate;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import org.apache.spark.storage.RDDInfo;

/**
 * What Spark does, added up inside the JVM; Python asks for it with `drain`, one text for all that is new.
 *
 * Compiled by Janino, which Spark brings along for its own generated code. Janino knows no type arguments, hence the casts.
 * A row or byte counts once for each partition of a stage, when a task succeeds for the first time: not for failed attempts,
 * nor for those that do again what had been done. A partition of a scan counts once in all stages, for a sort by ranges reads it
 * twice; what a reader looks at to infer a schema counts not at all. Tasks and CPU time count for all attempts.
 */
public class RunEvents extends SparkListener {
    private static final String MARK = "spark-dynamo-run-";
    private static final String SESSION = "spark-session-";
    private static final int UUID_LENGTH = 36;
    private static final int MOST_WAITING = 100000;
    private static final int ENDED_KEPT = 500;
    private static final int LONGEST_TEXT = 20000;

    /** Sums of a SQL execution or of a job outside of SQL. */
    static class Work {
        final String kind;
        final long id;
        boolean isSql, hasScan, hasWrite, readsRdd, isUnknown, isDirty, isEnded, isFailed, hasFileWrite, infers;
        long tasks, failedTasks, inputRows, scanRows, inputBytes, outputRows, outputBytes, shuffleRead, shuffleWrite, spill;
        long peak, cpu, writeRows, writeBytes;
        boolean hasWriteRows, lacksBytes, savesElsewhere;
        final List accumulators = new ArrayList();
        final Map scans = new HashMap(); // of each scan, by accumulator, the rows of each partition

        Work(String kind, long id) {
            this.kind = kind;
            this.id = id;
            this.isSql = kind.equals("sql");
        }
    }

    /** A stage, from the start of the first job that needs it. */
    static class Stage {
        final Work work;
        final boolean mayReadCache;
        final BitSet done = new BitSet();

        Stage(Work work, boolean mayReadCache) {
            this.work = work;
            this.mayReadCache = mayReadCache;
        }
    }

    /** A job, while it runs and a while after, since tasks may end later than their job. */
    static class Job {
        final Work work;
        final List stages = new ArrayList();

        Job(Work work) {
            this.work = work;
        }
    }

    /** An event of our own: when it arrives, all that was posted before has arrived. */
    public static class Mark implements SparkListenerEvent {
        public boolean logEvent() {
            return false;
        }
    }

    static class Recent extends LinkedHashMap {
        protected boolean removeEldestEntry(Map.Entry eldest) {
            return size() > ENDED_KEPT;
        }
    }

    private final Map sqls = new HashMap();
    private final Map jobs = new HashMap();
    private final Map endedJobs = new Recent();
    private final Map stages = new HashMap();
    private final Map roles = new HashMap();
    private final LinkedHashSet dirty = new LinkedHashSet();
    private final ArrayDeque waiting = new ArrayDeque();
    private final Counter dropped;
    private final Function tables;
    private long droppedBefore;
    private boolean isLost;
    private boolean isListening;
    private boolean isOver;
    private Mark reached;

    public RunEvents(Counter dropped, Function tables) {
        this.dropped = dropped;
        this.tables = tables;
    }

    /** Take notice of what happens from now on, or of nothing any more. */
    public synchronized void listen(boolean wanted) {
        if (wanted && !isListening) {
            droppedBefore = dropped == null ? 0 : dropped.getCount();
            isLost = false;
            if (tables != null) tables.apply(null);
        }
        if (!wanted) {
            sqls.clear();
            jobs.clear();
            endedJobs.clear();
            stages.clear();
            roles.clear();
            dirty.clear();
            waiting.clear();
        }
        isListening = wanted;
    }

    /** Wait until all that has been posted to the bus is here; false where that took longer. */
    public synchronized boolean sync(LiveListenerBus bus, long milliseconds) throws InterruptedException {
        long deadline = System.currentTimeMillis() + milliseconds;
        Mark mark = new Mark();
        bus.post(mark);
        while (reached != mark && !isOver) {
            long left = deadline - System.currentTimeMillis();
            if (left <= 0) return false;
            wait(Math.min(left, 100));
        }
        return true;
    }

    /** What is new, as a JSON list; "" where nothing is. */
    public synchronized String drain() {
        Iterator works = new ArrayList(dirty).iterator(); // telling of one that has ended takes it out
        while (works.hasNext()) tellFigures((Work) works.next());
        dirty.clear();
        if (dropped != null && dropped.getCount() > droppedBefore) {
            droppedBefore = dropped.getCount();
            isLost = true;
        }
        if (isLost) waiting.add("{\"kind\":\"lost\"}");
        isLost = false;
        if (waiting.isEmpty()) return "";
        StringBuilder text = new StringBuilder("[");
        Iterator each = waiting.iterator();
        while (each.hasNext()) {
            if (text.length() > 1) text.append(',');
            text.append((String) each.next());
        }
        waiting.clear();
        return text.append(']').toString();
    }

    public synchronized void onApplicationEnd(SparkListenerApplicationEnd event) {
        isOver = true;
        tell("{\"kind\":\"application_end\",\"at\":" + event.time() + "}");
        notifyAll();
    }

    public synchronized void onJobStart(SparkListenerJobStart event) {
        if (!isListening) return;
        Properties properties = event.properties() == null ? new Properties() : event.properties();
        String sql = properties.getProperty("spark.sql.execution.id");
        Work work = sql == null ? null : (Work) sqls.get(Long.valueOf(sql));
        boolean isOwn = work == null;
        if (isOwn) work = new Work("job", event.jobId());
        Job job = new Job(work);
        jobs.put(Integer.valueOf(event.jobId()), job);
        String name = properties.getProperty("spark.job.description");
        String details = "";
        int last = -1;
        scala.collection.Iterator infos = event.stageInfos().iterator();
        while (infos.hasNext()) {
            StageInfo info = (StageInfo) infos.next();
            Integer id = Integer.valueOf(info.stageId());
            if (!stages.containsKey(id)) {
                stages.put(id, new Stage(work, mayReadCache(info)));
                job.stages.add(id);
            }
            if (info.stageId() >= last) details = info.details();
            if (name == null || (last >= 0 && info.stageId() > last)) {
                name = info.name();
                last = info.stageId();
            }
        }
        String query = properties.getProperty("sql.streaming.queryId");
        if (isOwn) {
            work.infers = infers(details) || details.contains("SparkSession.sql("); // which runs no jobs of its own
            String joined = properties.getProperty("spark.job.tags");
            String[] tags = joined == null ? new String[0] : joined.split(",");
            tell("{\"kind\":\"job\",\"id\":" + event.jobId() + ",\"at\":" + event.time() + ",\"name\":" + quoted(name)
                + ",\"tags\":" + tags(tags) + ",\"session\":" + session(tags) + ",\"is_part\":" + (sql != null) + ",\"infers\":" + work.infers
                + ",\"query\":" + quoted(query) + "}");
        }
    }

    public synchronized void onJobEnd(SparkListenerJobEnd event) {
        Integer id = Integer.valueOf(event.jobId());
        Job job = (Job) jobs.remove(id);
        if (job == null) return;
        if (endedJobs.size() >= ENDED_KEPT) {
            Iterator oldest = ((Job) endedJobs.values().iterator().next()).stages.iterator();
            while (oldest.hasNext()) stages.remove(oldest.next());
        }
        endedJobs.put(id, job);
        if (job.work.isSql) return;
        String error = null;
        if (event.jobResult() instanceof JobFailed) {
            job.work.isFailed = true;
            error = String.valueOf(((JobFailed) event.jobResult()).exception().getMessage());
        }
        job.work.isEnded = true;
        tellFigures(job.work);
        tell("{\"kind\":\"job_end\",\"id\":" + event.jobId() + ",\"at\":" + event.time() + ",\"error\":" + quoted(error) + "}");
    }

    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        if (!isListening) return;
        Stage stage = (Stage) stages.get(Integer.valueOf(event.stageId()));
        if (stage == null) return;
        Work work = stage.work;
        work.tasks++;
        if (event.taskInfo().failed()) work.failedTasks++;
        TaskMetrics metrics = event.taskMetrics();
        if (metrics != null) {
            work.cpu += metrics.executorCpuTime();
            work.spill += metrics.diskBytesSpilled();
            work.peak = Math.max(work.peak, metrics.peakExecutionMemory());
            int partition = event.taskInfo().partitionId() < 0 ? event.taskInfo().index() : event.taskInfo().partitionId();
            if (event.taskInfo().successful() && !stage.done.get(partition)) {
                stage.done.set(partition);
                long before = work.scanRows;
                long scanned = scanned(event, work, partition);
                boolean isAgain = scanned > 0 && work.scanRows == before;
                work.inputRows += metrics.inputMetrics().recordsRead();
                // what comes from the cache counts as input too, and is none
                if (isAgain) {
                    // its bytes have been counted with its rows
                } else if (!stage.mayReadCache || scanned > 0) {
                    work.inputBytes += metrics.inputMetrics().bytesRead();
                    boolean hasRead = scanned > 0 || metrics.inputMetrics().recordsRead() > 0;
                    work.lacksBytes |= hasRead && metrics.inputMetrics().bytesRead() == 0;
                } else if (!work.hasScan && metrics.inputMetrics().recordsRead() > 0) work.isUnknown |= !work.isSql || work.readsRdd;
                work.outputRows += metrics.outputMetrics().recordsWritten();
                work.outputBytes += metrics.outputMetrics().bytesWritten();
                work.shuffleRead += metrics.shuffleReadMetrics().totalBytesRead();
                work.shuffleWrite += metrics.shuffleWriteMetrics().bytesWritten();
            }
        }
        dirty.add(work);
    }

    public synchronized void onOtherEvent(SparkListenerEvent event) {
        if (event instanceof Mark) {
            reached = (Mark) event;
            notifyAll();
        } else if (!isListening) {
            return;
        } else if (event instanceof SparkListenerSQLExecutionStart) {
            start((SparkListenerSQLExecutionStart) event);
        } else if (event instanceof SparkListenerSQLAdaptiveExecutionUpdate) {
            SparkListenerSQLAdaptiveExecutionUpdate update = (SparkListenerSQLAdaptiveExecutionUpdate) event;
            Work work = (Work) sqls.get(Long.valueOf(update.executionId()));
            if (work != null) look(update.sparkPlanInfo(), work);
        } else if (event instanceof SparkListenerDriverAccumUpdates) {
            update((SparkListenerDriverAccumUpdates) event);
        } else if (event instanceof SparkListenerSQLExecutionEnd) {
            end((SparkListenerSQLExecutionEnd) event);
        }
    }

    private void start(SparkListenerSQLExecutionStart event) {
        Work work = new Work("sql", event.executionId());
        work.infers = infers(event.details());
        sqls.put(Long.valueOf(event.executionId()), work);
        look(event.sparkPlanInfo(), work);
        Object root = event.rootExecutionId().isEmpty() ? Long.valueOf(event.executionId()) : event.rootExecutionId().get();
        List found = new ArrayList();
        scala.collection.Iterator each = event.jobTags().iterator();
        while (each.hasNext()) found.add(each.next());
        String[] tags = (String[]) found.toArray(new String[0]);
        String tables = tables(org.apache.spark.sql.execution.SQLExecution.getQueryExecution(event.executionId()));
        tell("{\"kind\":\"sql\",\"id\":" + event.executionId() + ",\"root\":" + root + ",\"at\":" + event.time()
            + ",\"name\":" + quoted(event.description()) + ",\"tags\":" + tags(tags) + ",\"session\":" + session(tags)
            + ",\"is_part\":" + !root.equals(Long.valueOf(event.executionId()))
            + ",\"infers\":" + work.infers + ",\"tables\":" + tables + "}");
    }

    private void end(SparkListenerSQLExecutionEnd event) {
        Work work = (Work) sqls.remove(Long.valueOf(event.executionId()));
        if (work == null) return;
        String error = event.errorMessage().isEmpty() ? "" : (String) event.errorMessage().get();
        work.isEnded = true;
        work.isFailed = error.length() > 0;
        Iterator each = work.accumulators.iterator();
        while (each.hasNext()) {
            Object id = each.next();
            int[] role = (int[]) roles.get(id);
            if (role != null && --role[1] <= 0) roles.remove(id);
        }
        String found = work.isFailed ? "null" : tables(event.qe());
        tellFigures(work);
        tell("{\"kind\":\"sql_end\",\"id\":" + event.executionId() + ",\"at\":" + event.time()
            + ",\"has_written\":" + work.hasWriteRows
            + ",\"error\":" + (work.isFailed ? quoted(error) : "null") + ",\"tables\":" + found + "}");
    }

    private String tables(Object execution) {
        if (execution == null || tables == null) return "null";
        try {
            return (String) tables.apply(execution);
        } catch (Throwable error) {
            return "null";
        }
    }

    /** Find the nodes that read from sources and write to them: their metrics say how many rows. */
    private void look(SparkPlanInfo plan, Work work) {
        String name = plan.nodeName();
        if (name.startsWith("Scan ExistingRDD")) work.readsRdd = true;
        else if (isScan(name) && readsAlone(plan)) work.hasScan |= remember(plan, "number of output rows", 0, work);
        else if (isWrite(name)) {
            boolean hasRows = remember(plan, "number of output rows", 1, work);
            work.hasWrite |= hasRows;
            if (hasRows && name.startsWith("Execute ")) work.hasFileWrite |= remember(plan, "written output", 2, work);
        } else if (name.startsWith("Execute SaveIntoDataSource")) work.savesElsewhere = true;
        scala.collection.Iterator children = plan.children().iterator();
        while (children.hasNext()) look((SparkPlanInfo) children.next(), work);
    }

    /** Whether no rows come to a node but its own; subqueries in its filters stand among its children. */
    private static boolean readsAlone(SparkPlanInfo plan) {
        scala.collection.Iterator children = plan.children().iterator();
        while (children.hasNext()) if (!((SparkPlanInfo) children.next()).nodeName().contains("Subquery")) return false;
        return true;
    }

    private static boolean isScan(String name) {
        return name.contains("Scan ") && !name.startsWith("Scan OneRowRelation") && !name.startsWith("Scan In-memory");
    }

    private static boolean isWrite(String name) {
        return name.startsWith("Execute Insert") || name.startsWith("Execute Create") || name.startsWith("AppendData")
            || name.startsWith("Overwrite") || name.startsWith("AtomicCreateTable") || name.startsWith("CreateTableAsSelect")
            || name.startsWith("AtomicReplaceTable") || name.startsWith("ReplaceTableAsSelect")
            || name.startsWith("ReplaceData") || name.startsWith("WriteDelta") || name.startsWith("WriteToDataSourceV2");
    }

    private boolean remember(SparkPlanInfo plan, String metric, int role, Work work) {
        boolean isFound = false;
        scala.collection.Iterator metrics = plan.metrics().iterator();
        while (metrics.hasNext()) {
            SQLMetricInfo info = (SQLMetricInfo) metrics.next();
            if (!info.name().equals(metric)) continue;
            isFound = true;
            Long id = Long.valueOf(info.accumulatorId());
            if (work.accumulators.contains(id)) continue;
            work.accumulators.add(id);
            int[] known = (int[]) roles.get(id);
            if (known == null) roles.put(id, new int[] {role, 1});
            else known[1]++;
        }
        return isFound;
    }

    /** How many rows a task read from scans; those of a partition that no other stage has read are added. */
    private long scanned(SparkListenerTaskEnd event, Work work, int partition) {
        long rows = 0;
        scala.collection.Iterator each = event.taskInfo().accumulables().iterator();
        while (each.hasNext()) {
            AccumulableInfo info = (AccumulableInfo) each.next();
            int[] role = (int[]) roles.get(Long.valueOf(info.id()));
            if (role == null || info.update().isEmpty() || !(info.update().get() instanceof Long)) continue;
            long value = ((Long) info.update().get()).longValue();
            if (role[0] == 0 && value > 0) {
                rows += value;
                work.scanRows += more(work, info.id(), partition, value);
            } else if (role[0] != 0) add(role[0], value, work);
        }
        return rows;
    }

    /** By how much that is more than what was read before of the same partition of the same scan. */
    private static long more(Work work, long scan, int partition, long rows) {
        long[] known = (long[]) work.scans.get(Long.valueOf(scan));
        if (known == null || known.length <= partition) {
            long[] longer = new long[Math.max(16, 2 * partition + 1)];
            if (known != null) System.arraycopy(known, 0, longer, 0, known.length);
            work.scans.put(Long.valueOf(scan), longer);
            known = longer;
        }
        long more = Math.max(0, rows - known[partition]);
        known[partition] += more;
        return more;
    }

    /** Whether a reader was called, which runs jobs only to infer a schema. */
    private static boolean infers(String details) {
        int end = details.indexOf('\n');
        return (end < 0 ? details : details.substring(0, end)).contains("DataFrameReader.");
    }

    private void add(int role, long value, Work work) {
        if (value < 0) return;
        if (role == 1) {
            work.writeRows += value;
            work.hasWriteRows = true;
        } else if (role == 2) work.writeBytes += value;
    }

    private void update(SparkListenerDriverAccumUpdates event) {
        Work work = (Work) sqls.get(Long.valueOf(event.executionId()));
        if (work == null) return;
        scala.collection.Iterator each = event.accumUpdates().iterator();
        while (each.hasNext()) {
            scala.Tuple2 pair = (scala.Tuple2) each.next();
            int[] role = (int[]) roles.get(pair._1());
            if (role == null) continue;
            long value = ((Long) pair._2()).longValue();
            if (role[0] == 0) work.scanRows += Math.max(0, value);
            else add(role[0], value, work);
            dirty.add(work);
        }
    }

    private static boolean mayReadCache(StageInfo info) {
        scala.collection.Iterator infos = info.rddInfos().iterator();
        while (infos.hasNext()) if (((RDDInfo) infos.next()).storageLevel().isValid()) return true;
        return false;
    }

    private void tellFigures(Work work) {
        StringBuilder text = new StringBuilder("{\"kind\":\"figures\",\"of\":\"" + work.kind + "\",\"id\":" + work.id);
        // rows of RDDs beside those of scans: of those, tasks count some twice and some not at all
        boolean isMixed = work.isSql && work.readsRdd && work.hasScan && work.inputRows > work.scanRows;
        boolean isRead = !work.isUnknown && !isMixed;
        long rows = !work.isSql || (work.readsRdd && !work.hasScan) ? work.inputRows : work.scanRows;
        boolean hasBytes = isRead && !work.lacksBytes && (work.inputBytes > 0 || rows == 0);
        number(text, "rows_read", work.infers ? 0 : rows, isRead || work.infers);
        number(text, "input_bytes", work.infers ? 0 : work.inputBytes, hasBytes || work.infers);
        long written = work.hasWrite ? work.writeRows : work.outputRows;
        long bytes = work.hasFileWrite ? work.writeBytes : work.outputBytes;
        // a write that failed may have written some; only files come to be by the commit
        boolean isWritten = !work.hasWrite || work.hasWriteRows || work.hasFileWrite && work.isFailed;
        // a sink of its own kind, which need not count
        if (work.savesElsewhere && written == 0) isWritten = false;
        number(text, "rows_written", written, isWritten);
        number(text, "output_bytes", bytes, isWritten && (bytes > 0 || written == 0));
        number(text, "shuffle_read_bytes", work.shuffleRead, true);
        number(text, "shuffle_write_bytes", work.shuffleWrite, true);
        number(text, "spill_bytes", work.spill, true);
        number(text, "task_count", work.tasks, true);
        number(text, "failed_task_count", work.failedTasks, true);
        number(text, "peak_memory_bytes", work.peak, work.tasks > 0);
        number(text, "cpu_nanoseconds", work.cpu, true);
        tell(text.append('}').toString());
        if (work.isEnded) dirty.remove(work);
    }

    private static void number(StringBuilder text, String name, long value, boolean isKnown) {
        if (isKnown) text.append(",\"" + name + "\":" + value);
    }

    private void tell(String text) {
        if (!isListening) return;
        if (waiting.size() >= MOST_WAITING) {
            isLost = true;
            return;
        }
        waiting.add(text);
    }

    private static String tags(String[] tags) {
        StringBuilder text = new StringBuilder("[");
        for (int place = 0; place < tags.length; place++) {
            int begin = tags[place].indexOf(MARK);
            if (begin < 0) continue;
            if (text.length() > 1) text.append(',');
            text.append(quoted(tags[place].substring(begin)));
        }
        return text.append(']').toString();
    }

    /** The id of the session that work is done in, which Spark puts before its tags. */
    private static String session(String[] tags) {
        for (int place = 0; place < tags.length; place++) {
            if (!tags[place].startsWith(SESSION)) continue;
            String id = tags[place].substring(SESSION.length());
            return quoted(id.substring(0, Math.min(id.length(), UUID_LENGTH)));
        }
        return "null";
    }

    /** A text as JSON has it; null is null. */
    public static String quoted(String text) {
        if (text == null) return "null";
        StringBuilder quoted = new StringBuilder("\"");
        int length = Math.min(text.length(), LONGEST_TEXT);
        for (int place = 0; place < length; place++) {
            char letter = text.charAt(place);
            if (letter == '"' || letter == '\\') quoted.append('\\').append(letter);
            else if (letter < ' ' || Character.isSurrogate(letter)) quoted.append(String.format("\\u%04x", new Object[] {Integer.valueOf(letter)}));
            else quoted.append(letter);
        }
        return quoted.append('"').toString();
    }
}
